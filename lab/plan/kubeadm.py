"""What kubeadm is told on one machine, as text that templates put where it belongs. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from lab import quoting
from lab.kubernetes import documents, yaml
from lab.kubernetes.documents import Credential, Data, Machines
from lab.kubernetes.release import Release
from lab.plan.site import Site
from lab.topology import Node, Topology

#: bash fills it in when the machine joins: it is in no file before, and in none afterwards.
CREDENTIAL = Credential(
    token="${JOIN_TOKEN:?the join credential is missing}",
    ca_hash="${JOIN_CA_HASH:?}",
    certificate_key="${JOIN_CERTIFICATE_KEY:?}",
)


@dataclass(frozen=True)
class Kubeadm:
    """kubeadm on one machine; what no template asks for is not written. (Markup: it is in its file's language.)"""

    release: Release
    lab: Topology
    site: Site
    node: Node

    @property
    def machines(self) -> Machines:
        """What the documents must know of the machines."""
        return Machines(self.site.shares_kernel, self.site.cgroups, self.site.patience)

    @property
    def init(self) -> Markup:
        """The documents with which it begins the cluster."""
        return self._text(documents.init(self.release, self.lab, self.node, self.machines))

    @property
    def join(self) -> Markup:
        """The document with which it joins, for a here-document in which the credential is filled in."""
        document = documents.join(self.release, self.lab, self.node, self.machines, CREDENTIAL)
        filled = (CREDENTIAL.token, CREDENTIAL.ca_hash, CREDENTIAL.certificate_key)
        return Markup(quoting.here_document(self._text([document]), filled))

    @property
    def phases(self) -> str:
        """The argument that leaves phases of init out, "" where none is."""
        skipped = self.release.skipped_phases
        return Markup(f"--skip-phases {','.join(skipped)}") if skipped else ""

    def _text(self, told: Iterable[Data]) -> Markup:
        return Markup(yaml.text(told, documents.comments(self.release)).rstrip("\n"))
