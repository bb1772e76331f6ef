"""Huffman codes of HPACK (RFC 7541, 5.2 and appendix B).

The code is canonical: codes of one length are handed out in the order of the symbols, so the
lengths say it all. Decoding walks the tree four bits at a time.
"""

from typing import Final, TypeAlias

# Bits of the code of each byte value, and of the end-of-string symbol (256).
CODE_BITS: Final = (
    *(13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28),
    *(28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28),
    *(6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6),
    *(5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10),
    *(13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7),
    *(7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6),
    *(15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5),
    *(6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28),
    *(20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23),
    *(24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24),
    *(22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23),
    *(21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23),
    *(26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25),
    *(19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27),
    *(20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23),
    *(26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26),
    30,
)
_END_OF_STRING: Final = 256
_PADDING_BITS_MAX: Final = 7

_Node: TypeAlias = "list[_Node | int | None]"
# Of each inner node and four bits: the next node, and the byte that was completed or -1.
# A next node of -1 means that no string goes on like that.
_Step: TypeAlias = tuple[int, int]


class HuffmanError(Exception):
    """Not a Huffman-coded string."""


def codes() -> dict[int, tuple[int, int]]:
    """Symbol → (code, bits)."""
    found: dict[int, tuple[int, int]] = {}
    code = bits = 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(CODE_BITS)):
        code <<= length - bits
        bits = length
        found[symbol] = (code, bits)
        code += 1
    return found


def _tree() -> _Node:
    root: _Node = [None, None]
    for symbol, (code, bits) in codes().items():
        node = root
        for shift in range(bits - 1, 0, -1):
            bit = code >> shift & 1
            if node[bit] is None:
                node[bit] = [None, None]
            child = node[bit]
            assert isinstance(child, list)
            node = child
        node[code & 1] = symbol
    return root


def _automaton() -> tuple[list[_Step], frozenset[int]]:
    """Steps at `node << 4 | bits`, and the nodes where a string may end."""
    root = _tree()
    numbers = {id(root): 0}
    nodes = [root]
    steps: list[_Step] = []
    for node in nodes:  # grows while it is walked
        steps.extend(_walk(root, node, bits, numbers, nodes) for bits in range(16))
    endings, node = set(), root
    for _ in range(_PADDING_BITS_MAX + 1):  # padding is a beginning of the end-of-string code
        endings.add(numbers[id(node)])
        child = node[1]
        assert isinstance(child, list)
        numbers.setdefault(id(child), len(numbers))
        node = child
    return steps, frozenset(endings)


def _walk(
    root: _Node, start: _Node, bits: int, numbers: dict[int, int], nodes: list[_Node]
) -> _Step:
    node, symbol = start, -1
    for shift in (3, 2, 1, 0):
        child = node[bits >> shift & 1]
        assert child is not None, "the code is complete"
        if isinstance(child, int):
            if child == _END_OF_STRING:
                return -1, -1
            symbol, child = child, root
        node = child
    if id(node) not in numbers:
        numbers[id(node)] = len(nodes)
        nodes.append(node)
    return numbers[id(node)], symbol


_STEPS, _ENDINGS = _automaton()


def decode(data: bytes) -> bytes:
    """The string in `data`. HuffmanError for what RFC 7541, 5.2 forbids: the end-of-string symbol
    inside, padding of more than seven bits or of other bits than ones."""
    decoded = bytearray()
    node = 0
    steps = _STEPS
    for byte in data:
        node, symbol = steps[node << 4 | byte >> 4]
        if symbol >= 0:
            decoded.append(symbol)
        if node < 0:
            raise HuffmanError("the end-of-string symbol within a string")
        node, symbol = steps[node << 4 | byte & 15]
        if symbol >= 0:
            decoded.append(symbol)
        if node < 0:
            raise HuffmanError("the end-of-string symbol within a string")
    if node not in _ENDINGS:
        raise HuffmanError("the padding is not a beginning of the end-of-string symbol")
    return bytes(decoded)
