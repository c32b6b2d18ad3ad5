"""infra/k8s: valid for the API server, locked down, closed by default, and at one with itself, with compose.yaml and with Prefect."""

import copy
import functools
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from tests.infra import (
    INFRA,
    K8S,
    OVERLAYS,
    apply,
    containers,
    documents,
    iam_allows,
    kustomized,
    may_connect,
    named,
    pod_of,
    schema_faults,
    script,
    seaweed_allows,
    secret_manifests,
    selects,
)

Manifests = list[dict[str, Any]]
POOLS = K8S / "base" / "pools"
CLAIMED = {"data"}
"""Volumes that a StatefulSet claims."""
SECRET = re.compile(r"PASSWORD|SECRET_KEY|AUTH_STRING|CONNECTION_URL|BACKEND_STORE_URI")
ROOTLESS = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
LOCKED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


@functools.cache
def built(name: str) -> str:
    """An overlay, read once."""
    return json.dumps(kustomized(K8S / "overlays" / name))


def overlay(name: str) -> Manifests:
    """What is applied."""
    made: Manifests = json.loads(built(name))
    return made


def key(manifest: dict[str, Any]) -> tuple[str, str]:
    """By what the API server knows it."""
    return manifest["kind"], manifest["metadata"]["name"]


# ---- the checks, each a list of what is wrong


def pod_faults(name: str, spec: dict[str, Any], *, has_token: bool = False) -> list[str]:
    """Rights, limits and mounts of one pod."""
    security = spec.get("securityContext", {})
    volumes = spec.get("volumes", [])
    rules = {
        "may be root": not (ROOTLESS.items() <= security.items() and security.get("runAsUser")),
        "has a token of the Kubernetes API": spec.get("automountServiceAccountToken", True) is not has_token,
        "is given variables of every Service: MLFLOW_PORT is an option of MLflow's": spec.get("enableServiceLinks", True),
        "shares the node's own": any(spec.get(each) for each in ("hostNetwork", "hostPID", "hostIPC")),
        "sees the node's files": any("hostPath" in each for each in volumes),
        "may fill the node's disk": any("emptyDir" in each and not each["emptyDir"].get("sizeLimit") for each in volumes),
    }
    every = [*spec.get("initContainers", []), *spec["containers"]]
    return [
        *(f"{name} {rule}" for rule, is_broken in rules.items() if is_broken),
        *(f"{name}/{each['name']} {fault}" for each in every for fault in container_faults(each)),
    ]


def container_faults(container: dict[str, Any]) -> list[str]:
    """Rights and limits of one container."""
    resources, image = container.get("resources", {}), container["image"]
    written = [each["name"] for each in container.get("env", []) if "value" in each]
    rules = {
        "is not locked down": not LOCKED.items() <= container.get("securityContext", {}).items(),
        "has no limits": not {"cpu", "memory"} <= resources.get("limits", {}).keys() & resources.get("requests", {}).keys(),
        f"runs {image}, which is no version": image.endswith(":latest") or not re.search(r":[\w.-]+$", image),
        "has a password written down": any(
            SECRET.search(each) and not each.endswith(("_SECRET_NAME", "_SECRET_KEY")) for each in written
        ),
    }
    return [rule for rule, is_broken in rules.items() if is_broken]


def workload_faults(manifests: Manifests) -> list[str]:
    """Rights, probes and references of every workload."""
    found = [f"{each['metadata']['name']}: a Secret in a file is none" for each in manifests if each["kind"] == "Secret"]
    for manifest in manifests:
        if (pod := pod_of(manifest)) is None:
            continue
        name, spec = manifest["metadata"]["name"], pod["spec"]
        found += pod_faults(name, spec, has_token=spec.get("serviceAccountName") == "worker")
        found += [f"{name}: {fault}" for fault in [*mount_faults(spec, manifests), *pointer_faults(spec, manifests)]]
        if manifest["kind"] == "Job":
            continue
        if not selects(manifest["spec"]["selector"], pod["metadata"]["labels"]):
            found.append(f"{name} does not select its own pods")
        if not {"livenessProbe", "readinessProbe"} & spec["containers"][0].keys():
            found.append(f"{name} has no probe")
    return found


def mount_faults(spec: dict[str, Any], manifests: Manifests) -> list[str]:
    """Volumes of one pod that are of nothing, and mounts of no volume."""
    volumes = spec.get("volumes", [])
    wanted = {each["secret"]["secretName"] for each in volumes if "secret" in each}
    maps = {each["configMap"]["name"] for each in volumes if "configMap" in each}
    every = [*spec.get("initContainers", []), *spec["containers"]]
    mounted = {mount["name"] for each in every for mount in each.get("volumeMounts", [])}
    return [
        *(f"nobody makes the Secret {name}" for name in wanted - named(secret_manifests(), "Secret").keys()),
        *(f"no ConfigMap {name}" for name in maps - named(manifests, "ConfigMap").keys()),
        *(f"no volume {name}" for name in mounted - {each["name"] for each in volumes} - CLAIMED),
    ]


def pointer_faults(spec: dict[str, Any], manifests: Manifests) -> list[str]:
    """Accounts, ports and sources of variables that one pod names and that are not there."""
    known = {name: each["stringData"] for name, each in named(secret_manifests(), "Secret").items()}
    maps = named(manifests, "ConfigMap")
    account = spec.get("serviceAccountName")
    found = [f"no account {account}"] if account and account not in named(manifests, "ServiceAccount") else []
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        sources = container.get("envFrom", [])
        found += [f"nobody makes the Secret {each['secretRef']['name']}" for each in sources
                  if "secretRef" in each and each["secretRef"]["name"] not in known]  # fmt: skip
        found += [f"no ConfigMap {each['configMapRef']['name']}" for each in sources
                  if "configMapRef" in each and each["configMapRef"]["name"] not in maps]  # fmt: skip
        for variable in container.get("env", []):
            found += reference_faults(variable.get("valueFrom", {}), known, maps)
        ports = {each["name"] for each in container.get("ports", [])}
        probes = [container[each] for each in ("startupProbe", "readinessProbe", "livenessProbe") if each in container]
        asked = {probe["httpGet"]["port"] for probe in probes if "httpGet" in probe}
        found += [f"no port {port}" for port in asked - ports]
    return found


def reference_faults(source: dict[str, Any], known: dict[str, Any], maps: dict[str, Any]) -> list[str]:
    """References of one variable to what nobody makes."""
    if (ref := source.get("secretKeyRef")) and ref["key"] not in known.get(ref["name"], {}):
        return [f"the Secret {ref['name']} has no {ref['key']}"]
    if (ref := source.get("configMapKeyRef")) and not ref.get("optional") and ref["key"] not in maps[ref["name"]]["data"]:
        return [f"the ConfigMap {ref['name']} has no {ref['key']}"]
    return []


def service_faults(manifests: Manifests) -> list[str]:
    """Services, budgets and URLs that mean nothing."""
    found = []
    pods = [(pod["metadata"]["labels"], pod["spec"]) for each in manifests if (pod := pod_of(each))]
    run = json.loads((POOLS / "job.json").read_text())["job_configuration"]["job_manifest"]["spec"]["template"]
    listens: dict[str, int] = {}
    for name, service in named(manifests, "Service").items():
        behind = [spec for labels, spec in pods if selects({"matchLabels": service["spec"]["selector"]}, labels)]
        for port in service["spec"]["ports"]:
            listens[name] = port["port"]
            if not any(each["name"] == port["targetPort"] for spec in behind for each in spec["containers"][0].get("ports", [])):
                found.append(f"the Service {name} leads nowhere")
    for name, budget in named(manifests, "PodDisruptionBudget").items():
        meant = [labels for labels, _ in [*pods, (run["metadata"]["labels"], {})] if selects(budget["spec"]["selector"], labels)]
        if not meant:
            found.append(f"the budget {name} protects nobody")
    texts = [value for each in named(manifests, "ConfigMap").values() for value in each["data"].values()]
    for host, port in re.findall(r"http://(?!127\.|localhost)([a-z0-9]+):(\d+)", "\n".join(texts)):
        if listens.get(host) != int(port):
            found.append(f"nobody is {host}:{port}")
    budgets = named(manifests, "PodDisruptionBudget")
    return found + [f"a drain may end every {name}" for name in ("mlflow", "prefect", "worker", "runs") if name not in budgets]


REACHES = {
    ("run", "mlflow", 5000), ("run", "prefect", 4200), ("worker", "prefect", 4200), ("mlflow", "postgres", 5432),
    ("prefect", "postgres", 5432), ("mlflow", "objects", 8333), ("run", "objects", 8333), ("bucket", "objects", 8333),
    ("serve", "objects", 8333), ("collect", "objects", 8333),
}  # fmt: skip
COMPONENTS = ("run", "worker", "mlflow", "prefect", "postgres", "objects", "bucket", "serve", "collect", "stranger")
PORTS = (4200, 5000, 5432, 8080, 8333, 9333, 18333)


def network_faults(manifests: Manifests) -> list[str]:
    """Each pair of pods: what must be possible is, and nothing else."""
    policies = list(named(manifests, "NetworkPolicy").values())
    closed = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    found = [] if closed in [each["spec"] for each in policies] else ["what no policy names is open"]
    has_stores = "objects" in named(manifests, "StatefulSet")
    for source in COMPONENTS:
        for target in COMPONENTS:
            for port in PORTS:
                wanted = (source, target, port) in REACHES and (has_stores or target not in {"objects", "postgres"})
                if may_connect(policies, source, target, port) is not wanted:
                    found.append(f"{source} {'cannot reach' if wanted else 'reaches'} {target}:{port}")
    return found


def all_faults(manifests: Manifests) -> list[str]:
    """Everything that can be wrong with an overlay."""
    schema = [fault for each in manifests for fault in schema_faults(each)]
    return schema or workload_faults(manifests) + service_faults(manifests) + network_faults(manifests)


# ---- the overlays


@pytest.mark.fault
@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_has_no_fault(name: str) -> None:
    """The API server takes it, no pod has more rights than it needs, all names lead somewhere, the network is closed."""
    assert all_faults(overlay(name)) == []


@pytest.mark.parametrize("name", OVERLAYS)
def test_our_kustomize_is_kubectls(name: str) -> None:
    """The tests read infra/k8s with forty lines of their own; where kubectl is, both must agree."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed; the overlay was read by the tests' own resolver")
    built = subprocess.run([kubectl, "kustomize", K8S / "overlays" / name], capture_output=True, text=True, check=True)

    assert {key(each): each for each in documents(built.stdout)} == {key(each): each for each in overlay(name)}


def test_the_secrets_that_are_made_are_valid() -> None:
    """`kubectl apply` of infra/.secrets/kubernetes.yaml must not be refused."""
    assert [fault for each in secret_manifests() for fault in schema_faults(each)] == []


def change(kind: str, name: str, path: str, value: Any) -> Callable[[Manifests], None]:
    """A change of one value."""
    return lambda manifests: apply(named(manifests, kind)[name], {"op": "add", "path": path, "value": value})


def without(kind: str, name: str) -> Callable[[Manifests], None]:
    """One manifest less."""
    return lambda manifests: manifests.remove(named(manifests, kind)[name])


POD = "/spec/template/spec"
ONE = f"{POD}/containers/0"
BROKEN: dict[str, Callable[[Manifests], None]] = {
    "Additional properties": change("Deployment", "mlflow", f"{POD}/readOnly", "yes"),
    "is not of type": change("Deployment", "mlflow", "/spec/replicas", "two"),
    "is unknown to Kubernetes": change("Deployment", "mlflow", "/apiVersion", "apps/v1beta1"),
    "may be root": change("Deployment", "worker", f"{POD}/securityContext", {}),
    "has a token": change("Deployment", "prefect", f"{POD}/automountServiceAccountToken", True),
    "is given variables": change("Deployment", "mlflow", f"{POD}/enableServiceLinks", True),
    "shares the node's own": change("StatefulSet", "postgres", f"{POD}/hostNetwork", True),
    "sees the node's files": change("Deployment", "mlflow", f"{POD}/volumes/0", {"name": "tmp", "hostPath": {"path": "/"}}),
    "may fill the node's disk": change("Deployment", "mlflow", f"{POD}/volumes/0", {"name": "tmp", "emptyDir": {}}),
    "is not locked down": change("Deployment", "mlflow", f"{ONE}/securityContext", {"readOnlyRootFilesystem": True}),
    "has no limits": change("Deployment", "prefect", f"{ONE}/resources", {"requests": {"cpu": "1"}}),
    "is no version": change("Deployment", "prefect", f"{ONE}/image", "headrace:latest"),
    "written down": change("Deployment", "prefect", f"{ONE}/env/0", {"name": "PREFECT_SERVER_API_AUTH_STRING", "value": "a:b"}),
    "a Secret in a file": lambda manifests: manifests.append(secret_manifests()[0]),
    "no account": change("Deployment", "mlflow", f"{POD}/serviceAccountName", "mlflw"),
    "does not select its own": change("Deployment", "mlflow", "/spec/selector", {"matchLabels": {"app": "mlflow"}}),
    "has no probe": lambda manifests: [named(manifests, "StatefulSet")["postgres"]["spec"]["template"]["spec"]["containers"][0].pop(each)
                                       for each in ("livenessProbe", "readinessProbe")],
    "nobody makes the Secret": change("Deployment", "mlflow", f"{ONE}/envFrom", [{"secretRef": {"name": "headrace-s4"}}]),
    "has no MLFLOW": change("Deployment", "mlflow", f"{ONE}/env/0/valueFrom", {"secretKeyRef": {"name": "headrace-s3", "key": "MLFLOW"}}),
    "no ConfigMap": change("Deployment", "worker", f"{POD}/volumes/1/configMap", {"name": "pools"}),
    "no volume": change("Deployment", "worker", f"{ONE}/volumeMounts", [{"name": "tmpp", "mountPath": "/x"}]),
    "no port": change("Deployment", "worker", f"{ONE}/ports", []),
    "leads nowhere": change("Service", "mlflow", "/spec/ports", [{"name": "http", "port": 5000, "targetPort": "web"}]),
    "protects nobody": change("PodDisruptionBudget", "mlflow", "/spec/selector", {"matchLabels": {"app": "mlflow"}}),
    "nobody is": change("ConfigMap", "headrace-settings", "/data/MLFLOW_TRACKING_URI", "http://mlflow:80"),
    "a drain may end": without("PodDisruptionBudget", "runs"),
    "what no policy names is open": without("NetworkPolicy", "default-deny"),
    "run reaches objects:18333": lambda manifests: [named(manifests, "NetworkPolicy")[name]["spec"][way][0].pop("ports")
                                                    for name, way in (("objects", "ingress"), ("to-objects", "egress"))],
    "worker cannot reach prefect": without("NetworkPolicy", "prefect"),
    "run cannot reach objects": without("NetworkPolicy", "to-objects"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_overlay_is_found(fault: str) -> None:
    """Each check must be able to fail."""
    manifests = overlay("local")
    BROKEN[fault](manifests)

    assert any(fault in each for each in all_faults(manifests)), all_faults(manifests)


def test_both_ways_start_the_same_servers() -> None:
    """compose.yaml and the manifests must not drift apart: images, MLflow's options, the S3 server's."""
    services = documents((INFRA / "compose.yaml").read_text())[0]["services"]
    local = overlay("local")
    args = {each["metadata"]["name"]: next(reversed(list(containers(each)))) for each in local if pod_of(each)}
    differs = ("--allowed-hosts", "-s3.config")

    def plain(words: list[str]) -> list[str]:
        return [word for word in words if not word.startswith(differs)]

    assert plain(args["mlflow"]["args"]) == plain(services["mlflow"]["command"])
    assert args["prefect"]["args"] == services["prefect"]["command"]
    assert plain(args["objects"]["args"]) == plain(services["objects"]["command"])
    assert args["bucket"]["command"] == services["bucket"]["command"]
    for name, service in {"objects": "objects", "postgres": "postgres", "mlflow": "mlflow"}.items():
        default = re.search(r":-(.*)\}$", services[service]["image"])
        assert default is not None
        assert args[name]["image"] == default[1]


def test_production_runs_what_it_starts() -> None:
    """Kustomize does not see the image inside a work pool: the overlay says it twice, and both must be of one build."""
    manifests = overlay("production")
    images = {one["image"] for each in manifests for one in containers(each)}
    runs = named(manifests, "ConfigMap")["headrace-run-images"]["data"]

    assert images == {runs["RUN_IMAGE"]}
    assert runs["RUN_IMAGE_GPU"].removesuffix("-cuda") == runs["RUN_IMAGE"].removesuffix("-cpu")
    mlflow = next(containers_named(manifests, "mlflow"))
    assert [each for each in mlflow["args"] if "EXAMPLE" in each] == ["--allowed-hosts=mlflow:5000,mlflow.EXAMPLE.org"]
    prefect = {each["name"]: each.get("value", "") for each in next(containers_named(manifests, "prefect"))["env"]}
    assert {name for name, value in prefect.items() if "EXAMPLE" in value} == {
        "PREFECT_SERVER_UI_API_URL",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS",
    }


def containers_named(manifests: Manifests, name: str) -> Any:
    """The containers of this name."""
    return (one for each in manifests for one in containers(each) if one["name"] == name)


# ---- the work pools


def template_of(name: str) -> Any:
    """A base job template."""
    return json.loads((POOLS / name).read_text())


def container_of(name: str) -> Any:
    """The container of a run."""
    return template_of(name)["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["containers"][0]


def job(template: Any, **values: Any) -> dict[str, Any]:
    """The Job that Prefect makes of a template, but for what its worker adds."""
    from prefect.utilities.templating import apply_values
    from prefect.workers.base import BaseJobConfiguration

    defaults = BaseJobConfiguration._get_base_config_defaults(template["variables"]["properties"])
    made = apply_values(template["job_configuration"], {**defaults, **values})["job_manifest"]
    made["metadata"] = {"name": "run", "namespace": made["metadata"]["namespace"]}
    return dict(made)


@pytest.mark.parametrize("name", ["job.json", "gpu-job.json"])
def test_a_run_is_a_valid_and_locked_job(name: str) -> None:
    """Prefect's own templating fills it in; then it is held to the rules of every other pod."""
    made = job(template_of(name))
    spec = made["spec"]["template"]["spec"]
    local = overlay("local")

    assert schema_faults(made) == []
    assert pod_faults("run", spec) == []
    assert spec["serviceAccountName"] in named(local, "ServiceAccount")
    assert made["metadata"]["namespace"] == "headrace"
    assert "{{" not in json.dumps(made)
    known = {each["metadata"]["name"] for each in [*secret_manifests(), *local]}
    assert {source["name"] for each in spec["containers"][0]["envFrom"] for source in each.values()} <= known
    assert len({each["mountPath"] for each in spec["containers"][0]["volumeMounts"]}) == len(spec["volumes"])


def test_a_run_on_a_gpu_differs_only_where_it_must() -> None:
    """Two files that are nearly one drift apart unseen."""
    plain, gpu = job(template_of("job.json")), job(template_of("gpu-job.json"))
    spec = gpu["spec"]["template"]["spec"]
    container = spec["containers"][0]

    assert container["resources"]["limits"].pop("nvidia.com/gpu") == 1
    assert spec.pop("tolerations")[0]["key"] == "nvidia.com/gpu"
    assert spec.pop("nodeSelector") == {"nvidia.com/gpu.present": "true"}
    assert container["env"].pop() == {"name": "HEADRACE_DEVICE", "value": "cuda"}
    for each in (plain, gpu):
        each["spec"]["template"]["spec"]["containers"][0].pop("resources")
        each["spec"]["template"]["spec"]["volumes"].pop()
        each["spec"]["template"]["spec"]["containers"][0].pop("image")
    assert plain == gpu


def test_a_deployment_may_ask_for_more() -> None:
    """`job_variables` of infra/prefect.yaml: the names are those of the template."""
    made = job(template_of("gpu-job.json"), gpus=4, memory_limit="256Gi", node_selector={"zone": "a"}, deadline_seconds=600)
    spec = made["spec"]["template"]["spec"]

    assert spec["containers"][0]["resources"]["limits"] == {"cpu": "8", "memory": "256Gi", "nvidia.com/gpu": 4}
    assert spec["nodeSelector"] == {"zone": "a"}
    assert made["spec"]["activeDeadlineSeconds"] == 600


@pytest.mark.parametrize("fault", ["is not locked down", "Additional properties"])
def test_a_broken_template_is_found(fault: str) -> None:
    """Each check must be able to fail."""
    template = copy.deepcopy(template_of("job.json"))
    container = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["containers"][0]
    container["securityContext"]["privileged" if fault == "is not locked down" else "priviledged"] = True
    if fault == "is not locked down":
        container["securityContext"]["allowPrivilegeEscalation"] = True
    made = job(template)

    assert any(fault in each for each in schema_faults(made) + pod_faults("run", made["spec"]["template"]["spec"]))


def test_workers_start_the_pools_that_deployments_name() -> None:
    """A run in a pool without a worker waits for ever."""
    workers = {name: next(containers_named([each], "worker"))["args"] for name, each in named(overlay("local"), "Deployment").items()
               if name.startswith("worker")}  # fmt: skip
    pools = {words[words.index("--pool") + 1] for words in workers.values()}
    made = {one["command"][2]: one["command"][3:] for one in containers_named(overlay("local"), "pool")}
    images = named(overlay("local"), "ConfigMap")["headrace-run-images"]["data"]

    assert pools == {"headrace", "gpu"} == made.keys()
    for template, variable in made.values():
        assert (POOLS / template.removeprefix("/pools/")).is_file()
        assert variable in images
    pools_script = script("k8s/base/pools/make_pools.py")
    assert pools_script.with_image(template_of("job.json"), "x:1")["variables"]["properties"]["image"]["default"] == "x:1"


# ---- the bucket

ACTIONS = ("GetObject", "PutObject", "DeleteObject", "ListBucket")
MAY = {
    "collect": {("PutObject", "raw"), ("ListBucket", "raw")},
    "train": {("GetObject", "raw"), ("ListBucket", "raw"), ("GetObject", "dvc"), ("PutObject", "dvc"), ("ListBucket", "dvc")},
    "serve": {("GetObject", "mlflow"), ("ListBucket", "mlflow")},
    "mlflow": {(action, "mlflow") for action in ACTIONS},
}
PREFIXES = ("raw", "dvc", "mlflow", "other")


def policy(role: str) -> Any:
    """The policy of a role."""
    return json.loads((K8S / "iam" / f"{role}.json").read_text())


def granted(role_policy: Any) -> set[tuple[str, str]]:
    """Which action a policy grants under which prefix."""
    keys = {prefix: f"{prefix}/files/md5/ab/cd" for prefix in PREFIXES}
    return {(action, prefix) for action in ACTIONS for prefix, path in keys.items() if iam_allows(role_policy, action, path)}


@pytest.mark.fault
@pytest.mark.parametrize("role", MAY)
def test_each_role_may_do_its_work_and_nothing_else(role: str) -> None:
    """Collect writes raw data only, train reads data and writes data sets and models, serve reads models."""
    assert granted(policy(role)) == MAY[role]
    assert {each.stem for each in (K8S / "iam").iterdir()} == MAY.keys()
    assert role in named(overlay("production"), "ServiceAccount")


@pytest.mark.parametrize("role", MAY)
def test_only_who_runs_dvc_may_ask_for_what_is_not_there(role: str) -> None:
    """S3 answers 403 instead of 404 to who may not list, which DVC takes for an error; who may, can list the names of all."""
    assert iam_allows(policy(role), "ListBucket", None) is (role == "train")


@pytest.mark.parametrize("role", MAY)
def test_the_s3_server_of_infra_has_the_same_roles(role: str) -> None:
    """SeaweedFS knows no difference between writing and deleting; all else is as in the policies."""
    actions = script("passwords.py").S3_ACTIONS[role]
    allowed = {
        (action, prefix) for action in ACTIONS for prefix in PREFIXES if seaweed_allows(actions, action, f"{prefix}/files/ab")
    }

    assert {each for each in allowed if each[0] != "DeleteObject"} == {each for each in MAY[role] if each[0] != "DeleteObject"}


@pytest.mark.parametrize("statement", [0, 1])
def test_a_wider_policy_is_found(statement: int) -> None:
    """The check must be able to fail."""
    wide = policy("serve")
    wide["Statement"][statement].pop("Condition", None)
    wide["Statement"][statement]["Action"] = ["s3:*"]
    wide["Statement"][statement]["Resource"] = ["arn:aws:s3:::headrace*"]

    assert granted(wide) > MAY["serve"]
