"""Services and what else says how things are reached; storage that is asked for."""

# ruff: noqa: E501 - what is typed and printed stays in one piece

from tests.e2e.kubectl.programs import DEBIAN_MINOR
from tests.e2e.kubectl.script import fails, ok, scenario, table
from tests.e2e.kubectl.scripts.kinds import AGE

_INGRESS_FAULTY = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: bad}
spec: {rules: [{host: a.example.com, http: {paths: [{path: x, pathType: Prefix, backend:
  {service: {name: web, port: {number: 80}}}}]}}]}
"""

_CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""

SCENARIOS = (
    scenario(
        "services and their addresses",
        "2.19 2.20",
        ok("create service clusterip web --tcp=80:8080", "service/web created"),
        ok("get svc web -o jsonpath={.spec.clusterIP}", r"10\.\d+\.\d+\.\d+", saves="ip"),
        ok(
            "get svc web",
            table(
                r"NAME TYPE CLUSTER-IP EXTERNAL-IP PORT\(S\) AGE",
                f"web ClusterIP $ip <none> 80/TCP {AGE}",
            ),
        ),
        ok(
            "get svc web -o jsonpath='{.spec.ports[0].targetPort} {.spec.ipFamilies}'",
            r'8080 \["IPv4"\]',
        ),
        ok("create service nodeport np --tcp=80 --node-port=31987", "service/np created"),
        ok("get svc np --no-headers", rf"np +NodePort +10\.\S+ +<none> +80:31987/TCP +{AGE}"),
        fails(
            "create service nodeport other --tcp=80 --node-port=31987",
            (
                r"spec\.ports\[0\]\.nodePort: Invalid value: 31987: provided port is already allocated",
            ),
        ),
        fails(
            "create service nodeport other --tcp=80 --node-port=80",
            (
                (
                    r"spec\.ports\[0\]\.nodePort: Invalid value: 80: provided port is not in the valid range\. "
                    r"The range of valid ports is 30000-32767"
                ),
            ),
        ),
        ok("delete svc np", r'service "np" deleted.*'),
        ok("create service nodeport other --tcp=80 --node-port=31987", "service/other created"),
        ok("delete svc other", r'service "other" deleted.*'),
        ok("create service loadbalancer lb --tcp=80", "service/lb created"),
        ok(
            "get svc lb --no-headers",
            rf"lb +LoadBalancer +10\.\S+ +<pending> +80:3\d{{4}}/TCP +{AGE}",
        ),
        ok("create service externalname en --external-name=example.com", "service/en created"),
        ok("get svc en --no-headers", rf"en +ExternalName +<none> +example\.com +<none> +{AGE}"),
        ok("create service clusterip headless --clusterip=None", "service/headless created"),
        ok("get svc headless --no-headers", rf"headless +ClusterIP +None +<none> +<none> +{AGE}"),
        fails(
            "create -f -",
            (
                (
                    r'^The Service "web2" is invalid: spec\.clusterIPs: Invalid value: \["$ip"\]: failed to '
                    r"allocate IP $ip: provided IP is already allocated"
                ),
            ),
            stdin="apiVersion: v1\nkind: Service\nmetadata: {name: web2}\n"
            "spec: {clusterIP: $ip, ports: [{port: 80}]}\n",
        ),
        fails(
            'patch svc web -p \'{"spec":{"clusterIP":"10.96.200.200"}}\'',
            (r'^The Service "web" is invalid: ', r"may not change once set|field is immutable"),
        ),
        fails(
            "create service clusterip Web --tcp=80",
            (r'metadata\.name: Invalid value: "Web": a DNS-1035 label',),
        ),
        ok("set selector svc web app=x,tier=front", "service/web selector updated"),
        ok("get svc web -o wide --no-headers", (r"app=x,tier=front$",)),
        ok(
            "get svc kubernetes -n default --no-headers",
            rf"kubernetes +ClusterIP +10\.96\.0\.1 +<none> +443/TCP +{AGE}",
        ),
        ok(
            "get endpointslices -n default -l kubernetes.io/service-name=kubernetes -o name",
            r"endpointslice\.discovery\.k8s\.io/kubernetes",
        ),
        since=DEBIAN_MINOR,
    ),
    scenario(
        "expose",
        "1.6",
        ok(
            "run p --image=example.com/c:1 --port=8080 --expose", "service/p created\npod/p created"
        ),
        ok("create deployment web --image=example.com/c:1", r"deployment\.apps/web created"),
        ok(
            "expose deployment web --port=80 --target-port=http --type=NodePort",
            "service/web exposed",
        ),
        ok(
            "get svc -o wide --no-headers",
            (
                rf"^p +ClusterIP +10\.\S+ +<none> +8080/TCP +{AGE} +run=p$",
                rf"^web +NodePort +10\.\S+ +<none> +80:3\d{{4}}/TCP +{AGE} +app=web$",
            ),
        ),
        fails(
            "expose deployment web --port=80",
            r'Error from server \(AlreadyExists\): services "web" already exists',
        ),
        fails(
            "expose deployment absent --port=80",
            r'Error from server \(NotFound\): deployments\.apps "absent" not found',
        ),
        fails(
            "expose deployment web --name=other",
            ("error: couldn't find port via --port flag or introspection",),
        ),
        since=DEBIAN_MINOR,
    ),
    scenario(
        "ingress and storage",
        "2.19",
        ok(
            "create ingress i --class=c --rule=a.example.com/x*=web:80,tls=t",
            r"ingress\.networking\.k8s\.io/i created",
        ),
        ok(
            "get ingress i",
            table("NAME CLASS HOSTS ADDRESS PORTS AGE", rf"i c a\.example\.com 80, 443 {AGE}"),
        ),
        fails(
            "create -f -",
            (
                r"spec\.rules\[0\]\.http\.paths\[0\]\.path: Invalid value: \"x\": must be an absolute path",
            ),
            stdin=_INGRESS_FAULTY,
        ),
        ok("create -f -", "persistentvolumeclaim/data created", stdin=_CLAIM),
        ok(
            "get pvc data -o jsonpath='{.status.phase} {.spec.volumeMode}'",
            "Pending Filesystem",
        ),
        fails(
            'patch pvc data -p \'{"spec":{"accessModes":["ReadWriteMany"]}}\'',
            (
                r'^The PersistentVolumeClaim "data" is invalid: spec: Forbidden: spec is immutable after creation',
            ),
        ),
        fails(
            'patch pvc data -p \'{"spec":{"resources":{"requests":{"storage":"a lot"}}}}\'',
            (r"quantities must match the regular expression",),
        ),
        since=DEBIAN_MINOR,
    ),
)
