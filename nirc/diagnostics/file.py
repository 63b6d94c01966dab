"""Findings: the file itself."""

from __future__ import annotations

from collections.abc import Sequence

from nirc.diagnostics.errors import InputError
from nirc.diagnostics.finding import Finding, Stated, Words
from nirc.diagnostics.similar import did_you_mean

EXPORT_AGAIN = "export the model again"
UNFINISHED = (
    "the exporter ended before it had written the file: export again, and see that it "
    "ends without an error"
)


class FileFinding(Finding):
    """A finding about the file itself: exit status 3."""

    raises = InputError
    expects = True


class CannotOpen(FileFinding):
    code = "F101"
    title = "the file does not exist or cannot be opened"
    meaning = """
    There is no file at this path, the file may not be read, or the path leads to a directory, a
    device, a FIFO or a socket. Only regular files are opened (a symbolic link to one will do), so
    that nirc never waits for a pipe that nobody writes to. Nothing was read.
    """
    example = """
    `nirc modle.nir --target xylo` where the file is called `model.nir`: "the file cannot be
    opened: No such file or directory". A directory gives "this is a directory, not a file".
    """
    what_to_do = """
    Check the spelling and the permissions. To read a model that another program writes, let it
    write a file first.
    """
    sources = "`nirc/files/foreign.py`, `check_file`."

    path: str  # printable
    reason: str
    help: str = "check the path and its permissions"

    def words(self) -> Words:
        return Words(f"the file cannot be opened: {self.reason}", found=self.path, help=self.help)


class NotRegularFile(CannotOpen):
    """A directory, a device, a FIFO or a socket."""

    reason: str = ""
    kind: str
    is_bundle: bool = False

    def words(self) -> Words:
        help_ = "name a file"
        if self.is_bundle:
            help_ = "nirc.Bundle.open, `nirc run` and `nirc check` read it; name a NIR file here"
        return Words(f"this is {self.kind}, not a file", found=self.path, help=help_)


class NotHdf5(FileFinding):
    code = "F102"
    title = "the file is not HDF5"
    meaning = """
    A NIR file is an HDF5 file: it begins with the bytes 89 48 44 46 0D 0A 1A 0A (or has them after
    a user block of 512, 1024, 2048, ... bytes). This one does not. The message names what it looks
    like, judged by its first bytes and, for a zip archive, by the names in its directory. nirc
    never unpickles or unpacks such a file, because that could run code.

    An empty file, or one that begins with zeros, is what an exporter leaves that was ended before
    it wrote anything.
    """
    example = """
    A file called `model.nir` that was written by `torch.save` gives "this is a PyTorch archive
    (zip with a pickle), not HDF5". A download that went wrong gives "an XML or HTML file"; a
    repository cloned without Git LFS gives "a Git LFS pointer".
    """
    what_to_do = """
    If the file is empty, the exporter ended before it had written the file: export again, and see
    that it ends without an error. Otherwise export the network to NIR in the framework that made
    it (for PyTorch: nirtorch; snnTorch, Norse, sinabs and others have exporters of their own) and
    write it with `nir.write("model.nir", graph)`. Fetch a broken download again. Rasters (.npz,
    .npy) belong after `--data`.
    """
    sources = """
    HDF5 File Format Specification 3.0, section II.A (format signature). `nirc/files/foreign.py`.
    """

    name: str  # of the file, printable
    kind: str
    help: str

    def words(self) -> Words:
        message = f"this is {self.kind}, not HDF5"
        return Words(message, found=self.name, limit="a NIR graph in HDF5", help=self.help)


class NotNir(FileFinding, Stated):
    code = "F103"
    title = "the file is HDF5 but not a NIR graph"
    meaning = """
    The file is readable HDF5, but the group `node` is missing, or it is not a graph: a NIR file
    keeps a group `node` with the text `type` = `NIRGraph`, a group `nodes` and a list `edges`. The
    message says what the file looks like, if that can be told: a Keras model, a Lava DL network, a
    MATLAB file, data recorded by nir. The same code is given for a Python object that is not a
    `nir.NIRGraph`.

    A graph that lacks some of its parts and holds nothing else is a file whose exporter ended
    early: nir.write writes `nodes` first, then `edges`, then `type`.
    """
    example = """
    A file written by Lava DL has the group `layer` at the top: "this looks like a network of Lava
    DL (netx), not a NIR graph". A file that holds a single node (`nir.write("m.nir",
    nir.LIF(...))`) gives "`node` is not a NIR graph", found LIF. An exporter that failed at its
    third node: "the NIR graph is not complete, it lacks `edges` and `type`".
    """
    what_to_do = """
    If the graph is not complete, export again, and see that the exporter ends without an error:
    its message says what failed. Otherwise export the network to NIR and write it with
    `nir.write`. Wrap a single node: `nir.NIRGraph.from_list(node)`. Give recorded data to
    `--data`, not as the model.
    """
    sources = "NIR specification and `nir.serialization` of nir 1.0.8. `nirc/frontend/hdf5.py`."


class DamagedFile(FileFinding, Stated):
    code = "F104"
    title = "the file is damaged"
    meaning = """
    The file begins as HDF5, but something inside makes no sense: it was cut short, bytes were
    changed, or it was never closed. nirc compares the size of the file with the size that its
    header notes, and looks if its writer has closed it. Whatever the HDF5 library reports is given
    here with the place; text of variable length, the free blocks of heaps and the sizes of chunks
    are checked by nirc itself, because HDF5 2.0.0 can hang or crash on damaged text, follows free
    blocks in circles, and reads past the end of a chunk that unpacks to less than it declares.
    """
    example = """
    A copy that stopped after half the file: "the file ends early", found "19000 bytes", limit
    "38544 bytes, as its header says". An exporter that was ended by force: "the file was not
    closed by the program that wrote it". A damaged list of edges: "a text is not where the file
    says".
    """
    what_to_do = """
    If the file was not closed or ends early, the exporter ended before it had written the file:
    export again, and see that it ends without an error. While another program still writes the
    file, wait. Otherwise copy the file again from where it came, and compare sizes or checksums.
    If the original is damaged too, export the model again; `h5dump` or `h5ls -r` shows how much of
    it can be saved.
    """
    sources = """
    HDF5 File Format Specification 3.0. Measured: of 8000 NIR files with a few changed bytes one
    crashed HDF5 2.0.0 and seven hung it, all while it read text of variable length
    (`nirc/files/hdf5/text.py`); of 10,000 with packed chunks some ten crashed it
    (`nirc/files/hdf5/chunks.py`), and of 48,000 two sent it round a list of free blocks
    (`nirc/files/hdf5/file.py`).
    """


class StoredElsewhere(FileFinding, Stated):
    code = "F105"
    title = "the file holds a link or data stored elsewhere, which is never followed"
    meaning = """
    HDF5 can say "this is stored over there": soft links, external links to other files, datasets
    with external storage, virtual datasets, and groups that contain themselves. A model from a
    stranger could make nirc read any file of yours, or walk in circles. So nothing of the kind is
    followed, wherever it points. Two names for one object (hard links) are allowed.
    """
    example = """
    `nodes/fc/weight` is an external link to `/etc/passwd`: "`weight` is an external link", limit
    "hard links". A group that is its own member: "a group contains itself by a hard link".
    """
    what_to_do = """
    Store the data itself. With h5py: `data = file["node/nodes/fc/weight"][()]`, delete the link,
    create the dataset. Or, if you trust the file, read the model with nir and write it again:
    reading follows the links, writing uses none.
    """
    sources = """
    HDF5 User Guide, chapters on links, external storage and virtual datasets. `nir.write` uses
    none of them.
    """


class TooMuchAsked(FileFinding, Stated):
    code = "F106"
    expects = False
    title = "the file asks for more memory or depth than is allowed"
    meaning = """
    The file declares more than nirc is ready to allocate or to walk through. Every size is
    compared before memory is taken, and packed data counts unpacked. Limits: 4 GiB for the file, 1
    GiB for one field, 2 GiB for all fields, 10,000 nodes, 100,000 edges, 256 fields of a node, 255
    characters of a name, 4096 bytes of a text, 64 MiB of text and 100,000 fields in all (each
    counts as often as it is referred to), 131,072 chunks in all, 64 MiB packed by lzf, and 32 HDF5
    groups inside each other (16 nested graphs).
    """
    example = """
    A dataset of shape (1048576, 1048576) that takes 2 KB on disk because it was never filled: "the
    field is too large", found 8 TiB, limit 1.0 GiB. A packed chunk that declares 800 bytes and
    unpacks to 10 MB: "a packed chunk unpacks to more than it declares".
    """
    what_to_do = """
    No supported chip holds a network of this size; the largest published NIR file has 0.3 MB. If
    the file is not yours, mistrust it. If it is, look for a field that does not belong there, or
    flatten deeply nested graphs when exporting. Split rasters (`--data`) into several files.
    """
    sources = "`nirc/files/bounds.py`; choices of nirc, not of NIR."


class NotNumbersOrText(FileFinding, Stated):
    code = "F107"
    title = "a field holds something that is not numbers or text"
    meaning = """
    Fields of NIR nodes are arrays of numbers (bool, integers, floats of 16, 32 or 64 bits) or one
    text. This field is something else: complex numbers, a compound type, references, ragged or
    opaque data, no value at all, a group, several texts, or text where numbers are needed. It is
    also given for data packed by a filter other than gzip, shuffle, fletcher32, szip and lzf:
    others need plugins, which nirc does not load, and two packings on top of each other are not
    undone. For a Python graph, it means a value that numpy cannot turn into numbers.
    """
    example = """
    `nodes/fc/weight` stored as complex64: "the field holds something that is not numbers or text",
    found complex64. A file packed with Zstandard: "the field is packed by a filter that nirc does
    not run", found "HDF5 filter 32015".
    """
    what_to_do = """
    Convert the field when exporting, for instance `np.asarray(weight.detach().cpu(),
    dtype=np.float32)`. Pack a file anew by `h5repack -f GZIP=6 old.nir new.nir`.
    """
    sources = """
    NIR specification; filters: HDF5 filter registry. NBit and ScaleOffset are left out because
    their decoders trust sizes that stand in the file.
    """


class UnknownNodeType(FileFinding):
    code = "F108"
    title = "a node has a type that is not a NIR primitive"
    meaning = """
    Each node has a text `type` that names one of NIR's primitives. Here it is missing, or it is a
    name that NIR does not define. What the node computes is then unknown, so nirc does not go on.
    As a warning, it says that the outermost graph has no type: with `nodes` and `edges` it can
    only be a NIRGraph.
    """
    example = """
    `type` is "Conv3d": "`Conv3d` is not a NIR primitive", help "did you mean Conv2d, with time
    left out?". `type` is "Spike": help "did you mean Threshold?". A group of `nodes` without
    `type`: "the node has no type", found the names that it has. Exporters write the type last, so
    this is often a file whose exporter ended early.
    """
    what_to_do = """
    Follow the suggestion: nirc knows what other tools call NIR's primitives (`Dense` is Linear or
    Affine, `Leaky` is LIF or LI). Where the type is missing, export again, and see that the
    exporter ends without an error. Otherwise express the layer by primitives when exporting:
    Affine, AvgPool2d, Conv1d, Conv2d, CubaLI, CubaLIF, Delay, Flatten, I, IF, Input, LI, LIF,
    Linear, NIRGraph, Output, Scale, SumPool2d, Threshold. A batch normalisation folds into the
    layer before it; a dropout is left out; an average pool is a convolution if need be.
    """
    sources = "NIR specification: primitives, nir 1.0.8."

    kind: str
    known: Sequence[str]
    help: str

    def words(self) -> Words:
        return Words(
            f"`{self.kind[:60]}` is not a NIR primitive",
            found=self.kind[:60],
            limit=", ".join(self.known),
            help=self.help,
        )


class NoNodeType(UnknownNodeType):
    """A group where a node is expected has no type."""

    kind: str = ""
    known: Sequence[str] = ()
    help: str = UNFINISHED
    members: str  # of the group

    def words(self) -> Words:
        message = "the node has no type"
        return Words(message, found=self.members, limit="a text `type`", help=self.help)


class NoGraphType(UnknownNodeType):
    """A graph has no type, but nodes and edges."""

    severity = "warning"
    kind: str = ""
    known: Sequence[str] = ()
    help: str = "see that the exporter ends without an error: it writes the type last"

    def words(self) -> Words:
        return Words("the graph has no type and is read as a NIRGraph", help=self.help)


class MissingField(FileFinding):
    code = "F109"
    title = "a node lacks a field"
    meaning = """
    A node lacks a field without which its meaning is open. Only `v_reset` (G218) and `w_in` (G219)
    have a value that everybody agrees on, a convolution or pool has usual defaults (G220), and
    shapes can be inferred. Everything else has to be in the file. A node with a type and no field
    at all is one finding.
    """
    example = """
    A LIF without `tau`: "`LIF`: field `tau` is missing" at `nodes/lif1/tau`. Without any field:
    "`LIF`: all of its fields are missing" at `nodes/lif1`.
    """
    what_to_do = """
    If all fields are missing, the exporter ended before it had written the file: export again, and
    see that it ends without an error. Otherwise export the model again with this field, or add it:
    `h5py.File("m.nir", "r+")["node/nodes/lif1/tau"] = numpy.full(38, 2e-3)`. If the field has
    another name in the file, F111 names it close by.
    """
    sources = "NIR specification: fields of each primitive, nir 1.0.8."

    node_type: str
    field: str

    def words(self) -> Words:
        message = f"`{self.node_type}`: field `{self.field}` is missing"
        return Words(message, help=f"{EXPORT_AGAIN} with this field")


class AllFieldsMissing(MissingField):
    """A node has no field at all."""

    field: str = ""
    fields: Sequence[str]  # that the node needs

    def words(self) -> Words:
        message = f"`{self.node_type}`: all of its fields are missing"
        return Words(message, found="no fields", limit=", ".join(self.fields), help=UNFINISHED)


class ValueOutsideDomain(FileFinding, Stated):
    code = "F110"
    expects = False
    title = "a parameter holds NaN or a value outside its domain"
    meaning = """
    A value cannot be what its field means: NaN or infinity in a weight, a time constant that is
    not positive, a negative delay, an empty array, a stride of 0 or 1.5, a weight with too few
    axes, a bias or a number of groups that does not match the weight, or a padding that is no
    padding. A time constant or gain that is infinite is allowed (G211).
    """
    example = """
    Training diverged and one weight is NaN: "`Linear`: field `weight` has 1 value(s) outside its
    domain", found "nan at index (3, 17)", limit "finite".
    """
    what_to_do = """
    The message gives the first bad value with its index and how many there are. NaN comes from the
    training run: look at the loss. A wrong shape or sign comes from the exporter: compare with the
    layer in the framework.
    """
    sources = "NIR specification: the equations of each primitive, nir 1.0.8."


class UnknownField(FileFinding):
    code = "F111"
    title = "a field that NIR does not know is ignored"
    severity = "warning"
    meaning = """
    The node has a field that NIR does not define for its type. nirc cannot know what it should do,
    and leaves it out. The result is right if the field is a remark, and wrong if it changes what
    the node computes.
    """
    example = """
    `nodes/lif1/refractory_period` of a LIF: "`LIF` has no field `refractory_period` in NIR; it is
    ignored". Groups called `metadata` are passed over without a word: they are made for remarks.
    """
    what_to_do = """
    If the field is a remark, put it under `metadata`. If it is a misspelling (`tau_memb`), correct
    it: the message names a similar field that is absent, and F109 or G220 what its absence means.
    If it changes the dynamics, NIR cannot express the model: change the model.
    """
    sources = "NIR specification: fields of each primitive, nir 1.0.8; `metadata` of a node."

    node_type: str
    field: str
    absent: Sequence[str]  # fields of the type that the file does not have

    def words(self) -> Words:
        message = f"`{self.node_type}` has no field `{self.field[:60]}` in NIR; it is ignored"
        return Words(message, help=did_you_mean(self.field, self.absent))


class SlashInName(FileFinding):
    code = "F112"
    title = "a node name contains a slash and was read as nested groups"
    severity = "warning"
    meaning = """
    In HDF5 a slash separates groups: a node called `block/0` is stored as group `block` with a
    group `0` inside. nirc reads a group without `type` that has groups inside as such names, and
    puts the slash back, so that edges find the node. The reading is certain; nothing is lost.
    """
    example = """
    Groups `nodes/block/0` and `nodes/block/1`, edges to `block/0`: the model has the nodes
    `block/0` and `block/1`. The reader of nir 1.0.8 refuses such files.
    """
    what_to_do = """
    Nothing. To silence the warning, export names without slashes, for instance with dots.
    """
    sources = "HDF5 User Guide: names of links may not contain a slash. `nirc/frontend/hdf5.py`."

    names: Sequence[str]  # printable

    def words(self) -> Words:
        shown = ", ".join(f"`{name}`" for name in self.names[:5])
        more = f" and {len(self.names) - 5} more" if len(self.names) > 5 else ""
        return Words(f"node names with a slash: {shown}{more}", help="rename the nodes")


class UnreadableNames(FileFinding, Stated):
    code = "F113"
    title = "the names, text or list of edges cannot be read"
    meaning = """
    A name or text is not UTF-8, or `edges` is not a list of pairs of names, or a graph lacks
    `nodes` or `edges`. The last is a file whose exporter ended early. Text may be stored with
    fixed or variable length, edges with shape (n, 2); an empty list may have any type. For a
    Python graph, names that are not text are meant.
    """
    example = r"""
    `edges` holds numbers, [[0, 1]]: "`edges` does not hold pairs of names", limit "(n, 2) texts".
    A name in Latin-1, `gr\xf6\xdfe`: "a name or text is not UTF-8".
    """
    what_to_do = """
    If `edges` is missing, the exporter ended before it had written the file: export again, and see
    that it ends without an error. For the rest, export again with `nir.write`, which stores
    everything as needed. In scripts of your own: `group.create_dataset("edges", data=[("input",
    "fc"), ...], dtype=h5py.string_dtype())`.
    """
    sources = "NIR specification; `nir.serialization` of nir 1.0.8."
