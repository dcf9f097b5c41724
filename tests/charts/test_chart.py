"""Renders charts/kastrel with the engine of Helm, and checks the objects: by the published schemas,
and by what Kastrel's own files say about keys, variables, addresses and metrics.

`make chart-test` runs it. KASTREL_CHART_TOOLS names the folder of the packages. With KASTREL_PROGRAM,
the program itself reads the environment of every pod.
"""

import json
import os
import re
import subprocess
import tempfile
import tomllib
import unittest
from functools import cache
from pathlib import Path

import helm_python as helm
import yaml

from schemas import Schemas

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/kastrel"


def deep(base, more):
    """Merges values as `helm install --values` does."""
    merged = dict(base)
    for key, value in more.items():
        merged[key] = deep(merged.get(key, {}), value) if isinstance(value, dict) else value
    return merged


CLUSTER = {
    "mode": "cluster",
    "database": {"urlSecret": {"name": "kastrel-database"}},
    "redis": {"urlSecret": {"name": "kastrel-redis"}},
    "secretsKey": {"name": "kastrel-secrets"},
}
BUCKET = deep(
    CLUSTER,
    {
        "results": {
            "bucket": {
                "url": "s3://scans/kastrel",
                "endpoint": "https://minio.example.com:9000",
                "region": "eu-central-1",
                "credentialsSecret": {"name": "kastrel-bucket"},
            }
        }
    },
)
OUT = {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}], "ports": [{"port": 443, "protocol": "TCP"}]}
SETS = {
    "single": {},
    "single, backups": {"backup": {"enabled": True, "keep": 3}, "secretsKey": {"name": "kastrel-secrets"}},
    "single, maintenance": {"maintenance": True},
    "single, bucket": {"results": BUCKET["results"]},
    "cluster": CLUSTER,
    "cluster, fixed": deep(CLUSTER, {"worker": {"replicas": 5}, "scans": {"finishSeconds": 3600, "graceSeconds": 40}}),
    "cluster, KEDA": deep(
        BUCKET,
        {
            "worker": {"autoscaling": {"enabled": True, "maxReplicas": 50, "tokenSecret": {"name": "kastrel-token"}}},
            "networkPolicy": {"web": {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}]}},
        },
    ),
    "cluster, TLS": deep(CLUSTER, {"tls": {"secretName": "kastrel-tls"}, "web": {"service": {"port": 443}}}),
    "cluster, OIDC and mail": deep(
        CLUSTER,
        {
            "publicUrl": "https://scans.example.com",
            "auth": {
                "mode": "oidc",
                "oidc": {
                    "issuer": "https://login.example.com/realms/team",
                    "clientId": "kastrel",
                    "clientSecret": {"name": "kastrel-oidc"},
                },
            },
            "mail": {"from": "Kastrel <kastrel@example.com>", "smtpUrlSecret": {"name": "kastrel-mail"}},
            "settings": {
                "oidc.groups": ["sec-admins=admin", "sec-team=default:operator"],
                "auth.require_second_factor": "admins",
                "scans.max_attempts": 5,
                "node.min_free_bytes": 134217728,
                "scans.resume": False,
            },
            "backup": {"enabled": True},
            "networkPolicy": {"web": {"egress": [OUT]}},
        },
    ),
    "cluster, all Secrets": deep(
        BUCKET,
        {
            "auth": {"adminPasswordSecret": {"name": "kastrel-admin"}},
            "tls": {"secretName": "kastrel-tls"},
            "image": {"digest": "sha256:" + "5" * 64, "repository": "registry.example/kastrel", "pullSecrets": ["registry"]},
            "serviceAccount": {"create": False, "name": "scans"},
        },
    ),
    "cluster, no network policy": deep(CLUSTER, {"networkPolicy": {"enabled": False}}),
    "cluster, everything": deep(
        BUCKET,
        {
            "fullnameOverride": "scans",
            "publicUrl": "https://scans.example.com",
            "scope": {"allow": ["example.com", "10.0.0.0/8"], "deny": ["login.example.com"], "allowPrivate": True},
            "tls": {"secretName": "kastrel-tls"},
            "web": {
                "replicas": 3,
                "allowedHosts": ["kastrel.internal"],
                "trustedProxies": ["10.1.0.0/16"],
                "ingress": {
                    "enabled": True,
                    "className": "nginx",
                    "annotations": {"nginx.ingress.kubernetes.io/backend-protocol": "HTTPS"},
                    "hosts": ["scans.example.com"],
                    "tlsSecretName": "scans-tls",
                },
                "nodeSelector": {"kubernetes.io/arch": "amd64"},
                "podLabels": {"team": "security"},
                "podAnnotations": {"example.com/note": "web"},
                "priorityClassName": "high",
                "topologySpreadConstraints": [
                    {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
                ],
            },
            "worker": {
                "autoscaling": {"enabled": True, "minReplicas": 0, "tokenSecret": {"name": "kastrel-token"}, "unsafeSsl": True},
                "tolerations": [{"key": "scans", "operator": "Exists", "effect": "NoSchedule"}],
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [{"matchExpressions": [{"key": "scans", "operator": "Exists"}]}]
                        }
                    }
                },
                "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
                "podDisruptionBudget": {"maxUnavailable": "25%"},
            },
            "backup": {"enabled": True, "volume": {"existingClaim": "kastrel-backups"}},
            "telemetry": {"otlpEndpoint": "http://collector:4317", "traceUrl": "http://jaeger/trace/{trace_id}"},
            "monitoring": {
                "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "tokenSecret": {"name": "kastrel-token"}},
                "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
            },
        },
    ),
}


@cache
def chart():
    return helm.Chart.load(str(CHART))


def render(values, name="demo", namespace="scans"):
    """The objects that Helm makes of these values, and the text of the notes."""
    values = json.loads(json.dumps(values))
    chart().validate_schema(values)
    texts = chart().render(values, name=name, namespace=namespace)
    notes = texts.pop("kastrel/templates/NOTES.txt")
    return [manifest for text in texts.values() for manifest in yaml.safe_load_all(text) if manifest], notes


@cache
def rendered(name):
    return render(SETS[name])[0]


def one(manifests, kind, suffix=""):
    found = [one for one in manifests if one["kind"] == kind and one["metadata"]["name"].endswith(suffix)]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} of {kind} *{suffix}")
    return found[0]


def pods(manifests):
    """Each pod template with its part."""
    for manifest in manifests:
        spec = manifest.get("spec") or {}
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            yield manifest, template, template["metadata"]["labels"]["app.kubernetes.io/component"]


def variables(template):
    (container,) = template["spec"]["containers"]
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container.get("env", [])}


def keys_of_kastrel():
    """The variables of all keys, from config/kastrel.toml: KASTREL_SECTION__KEY and the short names."""
    text = (ROOT / "config/kastrel.toml").read_text()
    # One key has no default in the file, and is a comment there.
    table = tomllib.loads(re.sub(r"^# (allow_private = )", r"\1", text, flags=re.M))
    long = {f"KASTREL_{section.upper()}__{key.upper()}" for section, keys in table.items() for key in keys}
    short = {name for line in re.findall(r"^# Also: (.*)$", text, re.M) for name in line.split(", ") if not name.startswith("-")}
    return long | short


class Rendering(unittest.TestCase):
    def each(self):
        for name in SETS:
            with self.subTest(values=name):
                yield name, rendered(name)

    def test_every_object_is_valid_by_the_published_schemas(self):
        schemas = Schemas(Path(os.environ["KASTREL_CHART_TOOLS"]) / "wheels")
        kinds = set()
        for name, manifests in self.each():
            self.assertEqual([problem for one in manifests for problem in schemas.problems(one)], [])
            kinds |= {one["kind"] for one in manifests}
        self.assertEqual(
            kinds,
            {
                "CronJob", "Deployment", "Ingress", "NetworkPolicy", "PersistentVolumeClaim", "PodDisruptionBudget",
                "PrometheusRule", "ScaledObject", "Service", "ServiceAccount", "ServiceMonitor", "TriggerAuthentication",
            },
            "the sets of values cover every template",
        )  # fmt: skip

    def test_schemas_refuse_what_is_wrong(self):
        schemas = Schemas(Path(os.environ["KASTREL_CHART_TOOLS"]) / "wheels")
        everything = rendered("cluster, everything")
        for kind, suffix, path, value in [
            ("Deployment", "worker", "spec.replica", 1),
            ("Deployment", "worker", "spec.template.spec.terminationGracePeriodSeconds", "650"),
            ("NetworkPolicy", "worker", "spec.egres", []),
            ("ScaledObject", "worker", "spec.minReplicaCount", "1"),
            ("ScaledObject", "worker", "spec.advanced.scalingModifier", {}),
            ("TriggerAuthentication", "worker", "spec.secretTargetRefs", []),
            ("ServiceMonitor", "web", "spec.selectors", {}),
            ("PrometheusRule", "", "spec.groups", {}),
        ]:
            with self.subTest(path=path):
                wrong = json.loads(json.dumps(one(everything, kind, suffix)))
                *parents, last = path.split(".")
                target = wrong
                for parent in parents:
                    target = target[parent]
                target[last] = value
                self.assertNotEqual(schemas.problems(wrong), [])

    def test_lint_of_helm_finds_nothing_but_the_missing_icon(self):
        found = helm.lint(str(CHART))
        self.assertEqual([one["error"] for one in found["messages"]], ["icon is recommended"])
        self.assertEqual(found["errors"], [])

    def test_names_are_unique_and_every_object_is_in_the_namespace(self):
        for _, manifests in self.each():
            names = [(one["kind"], one["metadata"]["name"]) for one in manifests]
            self.assertEqual(len(names), len(set(names)))
            self.assertEqual({one["metadata"]["namespace"] for one in manifests}, {"scans"})
            for kind, name in names:
                self.assertLessEqual(len(name), 63, kind)

    def test_long_release_name_fits(self):
        manifests, _ = render(CLUSTER, name="r" * 53)
        self.assertLessEqual(max(len(one["metadata"]["name"]) for one in manifests), 63)


class Security(unittest.TestCase):
    def test_pods_are_confined_and_have_no_token(self):
        for name in SETS:
            for manifest, template, part in pods(rendered(name)):
                with self.subTest(values=name, part=part):
                    spec = template["spec"]
                    self.assertIs(spec["automountServiceAccountToken"], False)
                    self.assertIs(spec["enableServiceLinks"], False, "KASTREL_PORT and others")
                    for field in ("hostNetwork", "hostPID", "hostIPC"):
                        self.assertNotIn(field, spec)
                    pod = spec["securityContext"]
                    self.assertEqual((pod["runAsNonRoot"], pod["seccompProfile"]), (True, {"type": "RuntimeDefault"}))
                    self.assertEqual(pod["runAsUser"], user_of_the_image())
                    self.assertNotIn("initContainers", spec)
                    for container in spec["containers"]:
                        self.assertEqual(
                            container["securityContext"],
                            {
                                "allowPrivilegeEscalation": False,
                                "privileged": False,
                                "readOnlyRootFilesystem": True,
                                "runAsNonRoot": True,
                                "capabilities": {"drop": ["ALL"]},
                            },
                        )
                    for volume in spec["volumes"]:
                        self.assertNotIn("hostPath", volume)
            accounts = [one for one in rendered(name) if one["kind"] == "ServiceAccount"]
            self.assertTrue(all(one["automountServiceAccountToken"] is False for one in accounts))

    def test_images_are_pinned_by_values(self):
        version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
        for name, values in SETS.items():
            image = values.get("image", {})
            wanted = f"{image['repository']}@{image['digest']}" if "digest" in image else f"kastrel:{version}"
            for _, template, _ in pods(rendered(name)):
                self.assertEqual([one["image"] for one in template["spec"]["containers"]], [wanted])
        with self.assertRaises(helm.HelmValuesError):
            render({"image": {"tag": "latest"}})

    def test_no_secret_is_in_an_object(self):
        secret = re.compile(r"PASSWORD$|SECRET$|TOKEN$|SMTP_URL$|DATABASE_URL$|REDIS_URL$|ACCESS_KEY(_ID)?$")
        for name in SETS:
            self.assertFalse([one for one in rendered(name) if one["kind"] in ("Secret", "ConfigMap")])
            for _, template, _ in pods(rendered(name)):
                for variable, value in variables(template).items():
                    if secret.search(variable):
                        self.assertEqual(list(value), ["secretKeyRef"], variable)
                for volume in template["spec"]["volumes"]:
                    if "secret" in volume:
                        self.assertEqual(volume["secret"]["defaultMode"], 0o440)

    def test_every_secret_of_the_values_is_used(self):
        text = yaml.safe_dump_all(rendered("cluster, all Secrets") + rendered("cluster, OIDC and mail") + rendered("cluster, KEDA"))
        for name in ("database", "redis", "secrets", "bucket", "admin", "tls", "oidc", "mail", "token"):
            self.assertIn(f"kastrel-{name}\n", text)

    def test_only_web_nodes_get_the_secrets_of_the_web(self):
        for _, template, part in pods(rendered("cluster, all Secrets") + rendered("cluster, OIDC and mail")):
            text = yaml.safe_dump(template)
            for name in ("kastrel-admin", "kastrel-tls", "kastrel-oidc", "kastrel-mail"):
                self.assertTrue(part == "web" or name not in text, (part, name))


def user_of_the_image():
    return int(re.search(r"--uid (\d+) .* kastrel \\", (ROOT / "Dockerfile").read_text())[1])


class Configuration(unittest.TestCase):
    def test_every_variable_is_a_key_of_kastrel_or_of_its_telemetry(self):
        keys = keys_of_kastrel()
        self.assertTrue({"KASTREL_SCANS__CONCURRENCY", "REDIS_URL", "KAST_RESULTS_DIR", "KASTREL_LISTEN"} <= keys)
        telemetry = set(re.findall(r"`(OTEL_\w+)`", (ROOT / "docs/telemetry.md").read_text()))
        seen = set()
        for name, values in SETS.items():
            extra = {one["name"] for part in ("web", "worker") for one in values.get(part, {}).get("extraEnv", [])}
            for _, template, _ in pods(rendered(name)):
                for variable, value in variables(template).items():
                    self.assertIn(variable, keys | telemetry | {"HOME"} | extra, name)
                    self.assertNotEqual(value, "", variable)
                    seen.add(variable)
        self.assertIn("OTEL_METRICS_EXPORTER", seen)

    @unittest.skipUnless(os.environ.get("KASTREL_PROGRAM"), "KASTREL_PROGRAM names no program")
    def test_program_accepts_the_environment_of_every_pod(self):
        secrets = {
            "KASTREL_DATABASE_URL": "wss://kastrel:p@database.example:8000/kastrel/kastrel",
            "REDIS_URL": "rediss://kastrel:p@redis.example:6379/0",
            "KASTREL_MAIL__SMTP_URL": "smtps://kastrel:p@mail.example:465",
        }
        for name in SETS:
            for _, template, part in pods(rendered(name)):
                given = variables(template).items()
                env = {key: value if isinstance(value, str) else secrets.get(key, "x") for key, value in given}
                # A folder without config/kastrel.toml.
                result = subprocess.run(
                    [os.environ["KASTREL_PROGRAM"], "config", "show", "--json"], env=env, cwd="/", capture_output=True, text=True
                )
                with self.subTest(values=name, part=part):
                    self.assertEqual((result.returncode, result.stderr), (0, ""))
                    self.assertTrue(json.loads(result.stdout))

    def test_only_web_nodes_sign_people_in(self):
        modes = {part: variables(template)["KASTREL_AUTH_MODE"] for _, template, part in pods(rendered("cluster, OIDC and mail"))}
        self.assertEqual(modes, {"web": "oidc", "worker": "local", "backup": "local"})

    def test_variables_are_unique(self):
        for name in SETS:
            for _, template, part in pods(rendered(name)):
                names = [one["name"] for one in template["spec"]["containers"][0]["env"]]
                self.assertEqual(len(names), len(set(names)), (name, part))

    def test_settings_become_variables_of_every_part(self):
        for _, template, _ in pods(rendered("cluster, OIDC and mail")):
            env = variables(template)
            self.assertEqual(env["KASTREL_OIDC__GROUPS"], "sec-admins=admin,sec-team=default:operator")
            self.assertEqual(env["KASTREL_SCANS__MAX_ATTEMPTS"], "5")
            self.assertEqual(env["KASTREL_NODE__MIN_FREE_BYTES"], "134217728")
            self.assertEqual(env["KASTREL_SCANS__RESUME"], "false")

    def test_setting_that_the_chart_sets_is_refused(self):
        for key in ("scans.concurrency", "database.url", "auth.mode", "data.dir", "log.format", "scope.allow_private"):
            with self.assertRaisesRegex(helm.HelmError, re.escape(key)):
                render({"settings": {key: "1"}})

    def test_every_file_that_a_variable_names_is_mounted(self):
        for name in SETS:
            for _, template, part in pods(rendered(name)):
                (container,) = template["spec"]["containers"]
                mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
                volumes = {one["name"] for one in template["spec"]["volumes"]}
                self.assertEqual(set(mounts.values()), volumes, (name, part))
                for variable, value in variables(template).items():
                    if isinstance(value, str) and value.startswith("/"):
                        mount = max((path for path in mounts if f"{value}/".startswith(f"{path}/")), default=None, key=len)
                        self.assertIsNotNone(mount, f"{name}: {variable}={value} is on the read-only root")
                        self.assertEqual(mount.startswith("/run/kastrel/"), value.startswith("/run/kastrel/"))

    def test_arguments_and_commands_exist(self):
        serve = (ROOT / "src/cli/args/serve.rs").read_text()
        self.assertRegex(serve, r"(?s)pub struct ServeArgs.*pub no_worker: bool")
        self.assertRegex(serve, r"(?s)pub struct WorkerArgs")
        allowed = {"single": ["serve"], "web": ["serve", "--no-worker"], "worker": ["worker"]}
        for name, values in SETS.items():
            for _, template, part in pods(rendered(name)):
                (container,) = template["spec"]["containers"]
                if part == "backup":
                    self.assertIn("kastrel backup", container["command"][-1])
                elif values.get("maintenance"):
                    self.assertEqual(container["command"], ["sleep", "infinity"])
                else:
                    role = "single" if values.get("mode", "single") == "single" else part
                    self.assertEqual(container["args"], allowed[role], name)
                    self.assertNotIn("command", container)

    def test_values_that_lack_others_are_refused_by_name(self):
        for values, text in [
            ({"mode": "cluster"}, "database.urlSecret.name"),
            (deep(CLUSTER, {"redis": {"urlSecret": {"name": ""}}}), "redis.urlSecret.name"),
            (deep(CLUSTER, {"secretsKey": {"name": ""}}), "secretsKey.name"),
            (deep(CLUSTER, {"worker": {"autoscaling": {"enabled": True}}}), "tokenSecret.name"),
            ({"worker": {"autoscaling": {"enabled": True}}}, "mode cluster"),
            ({"redis": {"urlSecret": {"name": "x"}}}, "mode cluster"),
            ({"auth": {"mode": "oidc"}}, "auth.oidc.issuer"),
            ({"mail": {"smtpUrlSecret": {"name": "x"}}}, "mail.from"),
            ({"web": {"ingress": {"enabled": True}}}, "hosts"),
            ({"monitoring": {"serviceMonitor": {"enabled": True}}}, "tokenSecret.name"),
            (deep(SETS["cluster, OIDC and mail"], {"networkPolicy": {"web": {"egress": []}}}), "networkPolicy.web.egress"),
        ]:
            with self.subTest(text=text), self.assertRaisesRegex(helm.HelmError, re.escape(text)):
                render(values)

    def test_schema_of_values_refuses_typing_errors(self):
        for values in [
            {"mod": "single"},
            {"mode": "both"},
            {"web": {"replica": 2}},
            {"auth": {"mode": "off"}},
            {"scans": {"concurrency": 0}},
            {"settings": {"SCANS__MAX": 1}},
            {"networkPolicy": {"worker": {"public": True}}},
            {"tls": {"secretName": "Not A Name"}},
        ]:
            with self.subTest(values=values), self.assertRaises(helm.HelmValuesError):
                render(values)

    def test_schema_of_values_knows_every_value(self):
        schema = json.loads((CHART / "values.schema.json").read_text())

        def missing(values, node, path=""):
            node = schema["definitions"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node
            for key, value in values.items():
                known = node.get("properties", {})
                if key not in known:
                    if node.get("additionalProperties") is False or not ("additionalProperties" in node or node.get("type") == "object"):
                        yield f"{path}{key}"
                elif isinstance(value, dict):
                    yield from missing(value, known[key], f"{path}{key}.")

        self.assertEqual(list(missing(yaml.safe_load((CHART / "values.yaml").read_text()), schema)), [])


class Running(unittest.TestCase):
    def test_probes_suit_the_roles(self):
        routes = (ROOT / "src/web/router.rs").read_text()
        for name, values in SETS.items():
            for _, template, part in pods(rendered(name)):
                (container,) = template["spec"]["containers"]
                probes = {kind: container.get(f"{kind}Probe", {}).get("httpGet") for kind in ("startup", "liveness", "readiness")}
                if part == "backup" or values.get("maintenance"):
                    self.assertEqual(set(probes.values()), {None}, name)
                    continue
                ports = {one["name"]: one["containerPort"] for one in container["ports"]}
                env = variables(template)
                listen = env["KASTREL_WORKER__LISTEN"] if part == "worker" else env["KASTREL_LISTEN"]
                scheme = "HTTPS" if part == "web" and values.get("tls") else "HTTP"
                for kind, probe in probes.items():
                    self.assertIn(f'"{probe["path"]}"', routes)
                    self.assertEqual(f"0.0.0.0:{ports[probe['port']]}", listen)
                    self.assertEqual(probe.get("scheme", "HTTP"), scheme, kind)
                # What a restart does not repair must not cause one.
                self.assertEqual((probes["startup"]["path"], probes["liveness"]["path"]), ("/livez", "/livez"))
                is_single = values.get("mode", "single") == "single"
                self.assertEqual(probes["readiness"]["path"], "/livez" if is_single else "/readyz")

    def test_pods_with_scans_get_the_time_that_a_stop_takes(self):
        for name, values in SETS.items():
            if values.get("maintenance"):
                continue
            for _, template, part in pods(rendered(name)):
                env, spec = variables(template), template["spec"]
                runs_scans = part == "worker" or (part == "web" and values.get("mode", "single") == "single")
                self.assertEqual("KASTREL_SCANS__SHUTDOWN_FINISH_SECONDS" in env, runs_scans)
                self.assertEqual(spec.get("shareProcessNamespace", False), runs_scans, "zombies need a parent")
                if runs_scans:
                    stop = int(env["KASTREL_SCANS__SHUTDOWN_FINISH_SECONDS"]) + int(env["KASTREL_SCANS__SHUTDOWN_GRACE_SECONDS"])
                    self.assertEqual(spec["terminationGracePeriodSeconds"], stop + 30)
                    self.assertNotIn("lifecycle", spec["containers"][0])
        web = one(rendered("cluster"), "Deployment", "web")["spec"]["template"]["spec"]
        self.assertEqual(web["containers"][0]["lifecycle"]["preStop"]["exec"]["command"], ["sleep", "5"])
        self.assertGreater(web["terminationGracePeriodSeconds"], 5)

    def test_embedded_database_has_one_process_and_a_volume(self):
        deployment = one(rendered("single"), "Deployment")
        self.assertEqual((deployment["spec"]["replicas"], deployment["spec"]["strategy"]), (1, {"type": "Recreate"}))
        claim = one(rendered("single"), "PersistentVolumeClaim")
        self.assertEqual(claim["metadata"]["annotations"]["helm.sh/resource-policy"], "keep")
        home = next(one for one in deployment["spec"]["template"]["spec"]["volumes"] if one["name"] == "home")
        self.assertEqual(home["persistentVolumeClaim"]["claimName"], claim["metadata"]["name"])
        self.assertFalse([one for one in rendered("single") if one["kind"] == "PodDisruptionBudget"])

    def test_data_folder_is_below_the_mount(self):
        # Kastrel creates the folder, so that it may set its rights; the mount itself belongs to root.
        for name in SETS:
            for _, template, _ in pods(rendered(name)):
                env = variables(template)
                self.assertEqual((env["HOME"], env["KASTREL_DATA_DIR"]), ("/var/lib/kastrel", "/var/lib/kastrel/data"))

    def test_workers_share_results_and_nothing_else(self):
        worker = one(rendered("cluster"), "Deployment", "worker")
        volumes = {one["name"]: one for one in worker["spec"]["template"]["spec"]["volumes"]}
        self.assertIn("emptyDir", volumes["home"])
        claim = one(rendered("cluster"), "PersistentVolumeClaim")
        self.assertEqual(claim["spec"]["accessModes"], ["ReadWriteMany"])
        self.assertEqual(volumes["results"]["persistentVolumeClaim"]["claimName"], claim["metadata"]["name"])
        self.assertFalse([one for one in rendered("cluster, KEDA") if one["kind"] == "PersistentVolumeClaim"])

    def test_budgets_and_services_select_their_pods(self):
        for name in SETS:
            labels = {part: template["metadata"]["labels"] for _, template, part in pods(rendered(name))}
            for manifest in rendered(name):
                spec = manifest.get("spec") or {}
                selector = spec.get("podSelector") if manifest["kind"] == "NetworkPolicy" else spec.get("selector")
                if not selector:
                    continue
                selector = selector.get("matchLabels", selector)
                part = selector["app.kubernetes.io/component"]
                self.assertLessEqual(selector.items(), labels[part].items(), manifest["kind"])
                # A selector must not change in an upgrade.
                self.assertNotIn("app.kubernetes.io/version", selector)

    def test_drain_of_a_machine_stops_one_pod_at_a_time(self):
        for suffix in ("web", "worker"):
            self.assertEqual(one(rendered("cluster"), "PodDisruptionBudget", suffix)["spec"]["maxUnavailable"], 1)
        self.assertEqual(one(rendered("cluster, everything"), "PodDisruptionBudget", "worker")["spec"]["maxUnavailable"], "25%")

    def test_keda_scales_by_queued_and_running_scans(self):
        scaled = one(rendered("cluster, KEDA"), "ScaledObject")["spec"]
        worker = one(rendered("cluster, KEDA"), "Deployment", "worker")
        self.assertEqual(scaled["scaleTargetRef"]["name"], worker["metadata"]["name"])
        self.assertNotIn("replicas", worker["spec"], "Helm and KEDA would set it in turn")
        concurrency = variables(worker["spec"]["template"])["KASTREL_SCANS__CONCURRENCY"]
        self.assertEqual(scaled["advanced"]["scalingModifiers"]["target"], concurrency)
        self.assertIn('"/api/stats"', (ROOT / "src/web/api/stats.rs").read_text())
        fields = (ROOT / "src/api_types/stats.rs").read_text()
        service = one(rendered("cluster, KEDA"), "Service", "web")
        address = f"{service['metadata']['name']}.scans.svc.cluster.local"
        allowed = variables(one(rendered("cluster, KEDA"), "Deployment", "web")["spec"]["template"])["KASTREL_SERVER__ALLOWED_HOSTS"]
        self.assertIn(address, allowed.split(","))
        for trigger in scaled["triggers"]:
            self.assertEqual(trigger["metadata"]["url"], f"http://{address}:80/api/stats")
            self.assertEqual(trigger["metadata"]["valueLocation"], f"scans.{trigger['name']}")
            self.assertRegex(fields, rf"pub {trigger['name']}: u64")
            self.assertIn(trigger["name"], scaled["advanced"]["scalingModifiers"]["formula"].split(" + "))
        url = one(rendered("cluster, everything"), "ScaledObject")["spec"]["triggers"][0]["metadata"]["url"]
        self.assertTrue(url.startswith("https://scans-web."), url)

    def test_backup_job_keeps_the_newest_and_stops_at_a_failure(self):
        job = one(rendered("cluster, everything"), "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        (shell, flags, script) = job["containers"][0]["command"]
        for outcome, left in ((0, 7), (1, 9)):
            with tempfile.TemporaryDirectory() as folder:
                program = Path(folder) / "kastrel"
                program.write_text(f'#!/bin/sh\n[ "$1" = backup ] && [ {outcome} = 0 ] && : > "$2"\n')
                program.chmod(0o700)
                old = [Path(folder) / f"kastrel-2026010{day}T032000Z.backup" for day in range(1, 10)]
                for path in old:
                    path.touch()
                env = {"PATH": f"{folder}:{os.environ['PATH']}"}
                result = subprocess.run([shell, flags, script.replace("/backups/", f"{folder}/")], env=env)
                self.assertEqual(result.returncode, outcome)
                found = sorted(path.name for path in Path(folder).glob("*.backup"))
                self.assertEqual(len(found), left)
                # Six of the old ones and the new one, which is the last by its name.
                self.assertEqual(found[0], old[3 if outcome == 0 else 0].name)

    def test_maintenance_runs_nothing(self):
        manifests, notes = render(deep(SETS["cluster, KEDA"], {"maintenance": True, "backup": {"enabled": True}}))
        self.assertEqual(one(manifests, "Deployment", "worker")["spec"]["replicas"], 0)
        self.assertFalse([one for one in manifests if one["kind"] == "ScaledObject"])
        self.assertIs(one(manifests, "CronJob")["spec"]["suspend"], True)
        self.assertIn("kastrel restore", notes)


class Network(unittest.TestCase):
    def test_workers_reach_only_what_they_need(self):
        policy = one(rendered("cluster"), "NetworkPolicy", "worker")["spec"]
        self.assertEqual((policy["policyTypes"], policy["ingress"]), (["Ingress", "Egress"], []))
        (targets,) = [rule for rule in policy["egress"] if "ipBlock" in rule["to"][0]]
        four, six = [one["ipBlock"] for one in targets["to"]]
        self.assertEqual((four["cidr"], six["cidr"]), ("0.0.0.0/0", "2000::/3"))
        listed = re.search(r"set internal4 .*?elements = { (.*?) }", (ROOT / "docs/operations.md").read_text())[1]
        wanted = {one if "/" in one else f"{one}/32" for one in listed.split(", ")}
        self.assertEqual(set(four["except"]), wanted, "the ranges of docs/operations.md")
        import ipaddress

        listed = re.search(r"set internal6 .*?elements = { (.*?) }", (ROOT / "docs/operations.md").read_text())[1]
        public = ipaddress.ip_network(six["cidr"])
        inside = {one for one in listed.split(", ") if ipaddress.ip_network(one).subnet_of(public)}
        self.assertEqual(set(six["except"]), inside)

    def test_web_nodes_of_a_cluster_reach_no_targets(self):
        policy = one(rendered("cluster"), "NetworkPolicy", "web")["spec"]
        self.assertFalse([rule for rule in policy["egress"] for one in rule["to"] if "ipBlock" in one])
        single = one(rendered("single"), "NetworkPolicy", "web")["spec"]
        self.assertTrue([rule for rule in single["egress"] for one in rule["to"] if "ipBlock" in one])

    def test_prometheus_and_keda_get_through(self):
        everything = rendered("cluster, everything")
        (rule,) = one(everything, "NetworkPolicy", "worker")["spec"]["ingress"]
        self.assertEqual([one["port"] for one in rule["ports"]], [5001])
        (rule,) = one(rendered("cluster, KEDA"), "NetworkPolicy", "web")["spec"]["ingress"]
        names = [one["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for one in rule["from"]]
        self.assertEqual(names, ["ingress", "keda"])

    def test_every_pod_has_a_policy_unless_it_is_off(self):
        for name, values in SETS.items():
            policies = {one["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for one in rendered(name) if one["kind"] == "NetworkPolicy"}
            parts = {part for _, _, part in pods(rendered(name))}
            self.assertEqual(policies, set() if values.get("networkPolicy", {}).get("enabled") is False else parts, name)


class Monitoring(unittest.TestCase):
    def test_alerts_are_those_of_the_repository(self):
        wanted = (ROOT / "observability/alerts.yaml").read_bytes()
        self.assertEqual((CHART / "files/alerts.yaml").read_bytes(), wanted, "copy observability/alerts.yaml to charts/kastrel/files")
        self.assertEqual(one(rendered("cluster, everything"), "PrometheusRule")["spec"], yaml.safe_load(wanted))

    def test_monitors_read_the_ports_of_their_services(self):
        everything = rendered("cluster, everything")
        for part, scheme in (("web", "https"), ("worker", "http")):
            monitor = one(everything, "ServiceMonitor", part)["spec"]
            service = one(everything, "Service", part)
            (endpoint,) = monitor["endpoints"]
            self.assertIn(endpoint["port"], [port["name"] for port in service["spec"]["ports"]])
            self.assertEqual((endpoint["path"], endpoint["scheme"]), ("/metrics", scheme))
            self.assertLessEqual(monitor["selector"]["matchLabels"].items(), service["metadata"]["labels"].items())
            # Only web nodes have accounts.
            self.assertEqual("authorization" in endpoint, part == "web")


if __name__ == "__main__":
    unittest.main()
