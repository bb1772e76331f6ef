"""What a person at a terminal sees: scripts of kubectl commands, told in `scripts/`.

A script is a tuple of scenarios. A scenario has a namespace and a folder of its own (the commands
run in it; `files` lie there) and names the rows of kube-behaviour that it shows. Its lines run one
after another:

    ok("create cm a --from-literal=k=v", r"configmap/a created")
    fails("get cm b", r'Error from server \\(NotFound\\): configmaps "b" not found')

The first text is what is typed after `kubectl`, quoted as for a shell (no pipes: `stdin=` gives the
input). The second is a regular expression for *all* of standard output (`ok`) or standard error
(`fails`), surrounding blank lines apart. A tuple of expressions instead: each is found somewhere,
`^` and `$` being ends of lines. `table(...)` makes an expression of lines whose columns are
separated by any number of blanks. What is not said must not happen: the exit status is 0 (`ok`) or
1 (`fails`, or `status=`), and the other stream is empty; `err=""` is the default of `ok`, `out=""`
that of `fails`.

Further words of a line:

    saves="uid"       keeps standard output; later lines may say $uid
    user="bob"        another user than admin: bob is in the group devs and may nothing yet
    edit=("a", "b")   what $EDITOR replaces in the file that `kubectl edit` opens
    since=28          kubectl 1.28 and newer; before=28: older ones
    background("w", "get cm -w", until="^a ")  starts; once the output has that, the next lines run
    ends("w", (…))    waits until its output has all these expressions, and ends it

`$NS` is the name of the scenario's namespace everywhere, also in manifests and expressions; things
outside of namespaces are called `$NS-something`, since all scenarios share one cluster.

Every expectation is what Kubernetes documents, or what its source says; none was copied from what
our server answered. A scenario with `needs=` waits for a part that does not exist yet.
Those with `since=DEBIAN_MINOR` are run by Debian's kubectl 1.20 as well, all by 1.27 and newer.
"""
