"""The published schemas, read from packages that lie unpacked or as wheels in one folder.

Kubernetes' own are the strict JSON schemas of `kubernetes-validate`: a field that does not exist is
an error. Those of KEDA and of the Prometheus Operator are the models that `cloudcoil` generates from
their custom resource definitions. They are read as text, and not imported: an import builds classes
for every resource, which takes longer than all tests.
"""

import ast
import json
import re
import zipfile
from functools import cache
from pathlib import Path

import jsonschema
import referencing

KUBERNETES = "kubernetes_validate/kubernetes-json-schema/"
# The oldest version that Chart.yaml allows, and the newest of the package.
VERSIONS = ("v1.27", "v1.37")
MODELS = {
    "keda.sh/v1alpha1": ("cloudcoil_models_keda-*.whl", "cloudcoil/models/keda/v1alpha1.py"),
    "monitoring.coreos.com/v1": (
        "cloudcoil_models_prometheus_operator-*.whl",
        "cloudcoil/models/prometheus_operator/v1.py",
    ),
}


class Schemas:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.kubernetes = zipfile.ZipFile(self._wheel("kubernetes_validate-*.whl"))
        names = self.kubernetes.namelist()
        self.folders = {}
        for version in VERSIONS:
            found = {name[: name.rindex("/")] for name in names if name.startswith(f"{KUBERNETES}{version}.") and "-strict/" in name}
            (self.folders[version],) = found
        self.validators = {}

    def _wheel(self, pattern):
        (path,) = self.folder.glob(pattern)
        return path

    def problems(self, manifest):
        """The texts of everything that is wrong with a manifest, by all versions."""
        group = manifest["apiVersion"]
        found = []
        for key in [group] if group in MODELS else VERSIONS:
            for error in self._validator(key, manifest).iter_errors(manifest):
                place = ".".join(map(str, error.absolute_path))
                found.append(f"{manifest['kind']} {manifest['metadata']['name']} ({key}): {place}: {error.message}")
        return found

    def _validator(self, key, manifest):
        kind = manifest["kind"]
        known = (key, manifest["apiVersion"], kind)
        if known not in self.validators:
            self.validators[known] = self._custom(key, kind) if key in MODELS else self._own(key, manifest)
        return self.validators[known]

    def _own(self, version, manifest):
        # rbac.authorization.k8s.io/v1 is rbac-v1 in the names of the files.
        group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", manifest["apiVersion"])
        schema = self._read(version, f"{manifest['kind'].lower()}-{group}.json")
        registry = referencing.Resource.from_contents(schema) @ referencing.Registry()
        registry = referencing.Resource.from_contents(self._read(version, "_definitions.json")) @ registry
        return jsonschema.Draft202012Validator(schema, registry=registry)

    @cache
    def _read(self, version, name):
        return json.loads(self.kubernetes.read(f"{self.folders[version]}/{name}"))

    @cache
    def _models(self, group):
        wheel, path = MODELS[group]
        return Models(zipfile.ZipFile(self._wheel(wheel)).read(path).decode())

    def _custom(self, group, kind):
        schema = self._models(group).schema(kind)
        jsonschema.Draft202012Validator.check_schema(schema)
        return jsonschema.Draft202012Validator(schema)


class Models:
    """JSON schemas of generated Python models: each annotated name of a class is a field."""

    SIMPLE = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
    LIMITS = {"pattern": "pattern", "min_length": "minLength", "max_length": "maxLength", "ge": "minimum", "le": "maximum"}

    def __init__(self, text):
        starts = list(re.finditer(r"^class (\w+)\(", text, re.M))
        ends = [start.start() for start in starts[1:]] + [len(text)]
        self.texts = {start[1]: text[start.start() : end] for start, end in zip(starts, ends)}
        self.definitions = {}

    def schema(self, kind):
        reference = self._reference(kind)
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **reference, "$defs": self.definitions}

    def _reference(self, name):
        if name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name] = self._class(name)
        return {"$ref": f"#/$defs/{name}"}

    def _class(self, name):
        (node,) = [node for node in ast.parse(self.texts[name]).body if isinstance(node, ast.ClassDef)]
        (base,) = node.bases
        if isinstance(base, ast.Subscript):
            if base.value.id != "RootModel":
                raise ValueError(f"{name}: the base {ast.unparse(base)} is not known")
            return self._type(base.slice)
        properties, required = {}, []
        for field in node.body:
            if not isinstance(field, ast.AnnAssign):
                continue
            key, schema = self._field(field)
            # A resource names its own kind and version, although the models have defaults for them.
            if field.value is None or (base.id == "Resource" and key in ("apiVersion", "kind")):
                required.append(key)
            properties[key] = schema
        if not properties:
            raise ValueError(f"{name} has no fields")
        return {"type": "object", "additionalProperties": False, "properties": properties, "required": required}

    def _field(self, field):
        key, annotation, limits = field.target.id, field.annotation, {}
        if isinstance(annotation, ast.Subscript) and annotation.value.id == "Annotated":
            annotation, *details = annotation.slice.elts
            for detail in details:
                for argument in detail.keywords:
                    value = ast.literal_eval(argument.value)
                    if argument.arg == "alias":
                        key = value
                    elif argument.arg == "pattern" and "(?i)" in value:
                        # Go takes a flag anywhere, Python at the start alone.
                        limits["pattern"] = "(?i)" + value.replace("(?i)", "")
                    else:
                        limits[self.LIMITS[argument.arg]] = value
        return key, {**self._type(annotation), **limits}

    def _type(self, node):
        if isinstance(node, ast.Name):
            if node.id in self.SIMPLE:
                return {"type": self.SIMPLE[node.id]}
            if node.id == "Any":
                return {}
            if node.id == "datetime":
                return {"type": "string"}
            return self._reference(node.id)
        if isinstance(node, ast.Attribute):
            # The metadata, which is Kubernetes' own.
            return {"type": "object"}
        if isinstance(node, ast.Subscript):
            outer = node.value.id
            inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            if outer == "Optional":
                # A field may be left out, but null is no value of it.
                return self._type(inner[0])
            if outer == "List":
                return {"type": "array", "items": self._type(inner[0])}
            if outer == "Dict":
                return {"type": "object", "additionalProperties": self._type(inner[1])}
            if outer == "Union":
                return {"anyOf": [self._type(one) for one in inner]}
            if outer == "Literal":
                return {"enum": [ast.literal_eval(one) for one in inner]}
            if outer == "Annotated":
                return self._type(inner[0])
        raise ValueError(f"the type {ast.unparse(node)} is not known")
