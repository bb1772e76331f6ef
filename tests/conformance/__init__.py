"""One suite, two targets: our members and Debian's etcd must behave the same on the wire."""
