"""Which objects a list or a watch is about, and in which form they are wanted. PURE."""

from collections.abc import Callable, Mapping

import msgspec

from controlplane.api import errors, selectors
from controlplane.api.resource import Resource
from controlplane.api.selectors import FieldSelector, LabelSelector
from controlplane.apiserver import negotiation
from controlplane.apiserver.incoming import Incoming, Target
from controlplane.apiserver.recent import Entry

JSON, TABLE, METADATA = "json", "table", "metadata"
_ALWAYS = ("metadata.name", "metadata.namespace")
_ZEROS = {"integer": "0", "boolean": "false"}
_FORMS = {
    "": JSON,
    "Table": TABLE,
    "PartialObjectMetadata": METADATA,
    "PartialObjectMetadataList": METADATA,
}


class Form(msgspec.Struct, frozen=True):
    """How objects are wanted: as they are, as a Table, or their metadata only; in which text."""

    name: str
    include_object: str = "Metadata"
    media_type: str = negotiation.JSON

    @property
    def is_yaml(self) -> bool:
        """Whether it is not JSON."""
        return self.media_type == negotiation.YAML

    @property
    def key(self) -> str:
        """Equal for equal answers."""
        return f"{self.name}/{self.include_object}"


class Selection:
    """Which objects: a key prefix and selectors."""

    def __init__(
        self, resource: Resource, target: Target, labels: LabelSelector, fields: FieldSelector
    ) -> None:
        self._labels = None if labels.is_everything else labels
        self._fields = fields if fields.requirements else None
        place = target.namespace if resource.is_namespaced else ""
        self.prefix = f"{resource.key_prefix}{place}/" if place else resource.key_prefix
        self.is_all = self._labels is None and self._fields is None

    def matches(self, entry: Entry) -> bool:
        """Tell whether it is about this object. One without a key is known to be in its place."""
        if entry.key and not entry.key.startswith(self.prefix):
            return False
        if self._labels is not None and not self._labels.matches(entry.labels):
            return False
        return self._fields is None or self._fields.matches(lambda path: entry.fields.get(path, ""))

    def may_match(self, key: str) -> bool:
        """Tell whether it may be about an object of which only the key is known."""
        name = None if self._fields is None else self._fields.exact("metadata.name")
        return name is None or key.rpartition("/")[2] == name


def selection_of(resource: Resource, target: Target, incoming: Incoming) -> Selection:
    """From the query, and the name if there is one. Raises ApiError 400."""
    fields = selectors.parse_fields(incoming.query.text("fieldSelector"))
    for requirement in fields.requirements:
        if requirement.path not in _ALWAYS and requirement.path not in resource.field_labels:
            raise errors.bad_request(_unknown_label(resource, requirement.path))
    fields = fields.renamed(resource.strategy.stored_labels)
    if target.name:
        fields = selectors.parse_fields(f"metadata.name={target.name}")
    labels = selectors.parse_labels(incoming.query.text("labelSelector"))
    return Selection(resource, target, labels, fields)


def _unknown_label(resource: Resource, path: str) -> str:
    """Kinds without labels of their own share a text; kubectl says of which list it is told."""
    if resource.field_labels or resource.is_custom:
        return f"field label not supported: {path}"
    return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def index_of(resource: Resource | None) -> Callable[[Mapping[str, object]], Mapping[str, str]]:
    """What field selectors may ask of an object of a resource."""
    labels = resource.field_labels if resource else ()
    values = resource.strategy.field_values if resource else {}
    # With the defaults that whoever gets it sees; built-in kinds are asked as they are stored.
    read = resource.strategy.from_storage if resource and resource.is_custom else None
    paths = {
        label: (tuple(label.split(".")), _absent(resource, label))
        for label in labels
        if label not in values
    }

    def index(found: Mapping[str, object]) -> Mapping[str, str]:
        metadata = found.get("metadata")
        known: dict[str, str] = {}
        if isinstance(metadata, Mapping):
            known["metadata.name"] = _text(metadata.get("name"))
            known["metadata.namespace"] = _text(metadata.get("namespace"))
        if paths and read is not None:
            found = read(found)
        for label, (path, absent) in paths.items():
            value: object = found
            for part in path:
                value = value.get(part) if isinstance(value, Mapping) else None
            known[label] = absent if value is None else _text(value)
        for label, value_of in values.items():
            known[label] = value_of(found)
        return known

    return index


def _absent(resource: Resource | None, label: str) -> str:
    """What Go has where a field is left out."""
    schema = None if resource is None else resource.schema.at(*label.split("."))
    return _ZEROS.get(schema.type, "") if schema is not None else ""


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def form_of(incoming: Incoming, *, is_stream: bool = False) -> Form:
    """The first form of `Accept` that we have; plain JSON if it says nothing.

    is_stream  a watch is JSON only

    Raises ApiError 406 where there is none, 400 for rows that carry nothing we know.
    """
    media_types = negotiation.MEDIA_TYPES[:1] if is_stream else negotiation.MEDIA_TYPES
    for clause in negotiation.clauses(incoming.header("accept")):
        name = _FORMS.get(clause.parameters.get("as", ""))
        media_type = next((one for one in media_types if clause.is_for(one)), None)
        if name is None or media_type is None:
            continue
        if name != TABLE:
            return Form(name, media_type=media_type)
        include = incoming.query.text("includeObject") or "Metadata"
        if include not in ("None", "Metadata", "Object"):
            raise errors.bad_request(f'unrecognized includeObject value: "{include[:40]}"')
        return Form(name, include, media_type)
    raise negotiation.not_acceptable(media_types)
