"""The sweep back over the tape, which adds up gradients; nothing here recurses."""

from lamina.autograd import _debug
from lamina.autograd._tape import Alias, Node, Output, changed, vertex_of
from lamina.autograd._tensor import Tensor


def sweep(roots, wanted=None, create_graph=False, retain_graph=False) -> dict:
    """Gradients of sum(root * seed) at leaves, or at the vertices in ``wanted``.

    Args:
        roots: pairs (tensor, seed of its shape); raw seeds, or tensors with ``create_graph``.
        wanted: vertices at which to stop and collect; None collects at all leaves.
        create_graph: run the rules on tensors, so that the gradients can be differentiated, and
            keep the tape.
        retain_graph: keep the tape. Otherwise everything passed is released.

    Returns:
        a dict from vertex to gradient; what is not connected is missing.
    """
    gradients, owned = {}, set()
    for root, seed in roots:
        if root.requires_grad:
            _add(gradients, owned, vertex_of(root), seed)
    stops = () if wanted is None else set(wanted)
    order = nodes_behind(gradients, stops)
    if wanted is not None:
        order = leading_to(stops, order)
    try:
        while order:
            node = order.pop()
            g = gradients.pop(node, None)
            if g is None:
                continue
            if type(node) is Output:
                parent = node.edges[0][0]
                parts = gradients.setdefault(parent, [None] * node.count)
                before = parts[node.position]  # of a result that its own rules used as well
                parts[node.position] = g if before is None else before + g
                continue
            if _debug.enabled:
                pulled = _debug.pulled(node, g, create_graph)
            else:
                pulled = node.pull_tensors(g) if create_graph else node.pull(g)
            for vertex, gradient in pulled:
                if gradient is None:
                    continue
                if vertex.changed_at > node.index:
                    raise changed(node)
                _add(gradients, owned, vertex, gradient)
            if not (create_graph or retain_graph):
                node.release()
    except MemoryError as error:
        error.lamina_node = node  # for those who know which layer that is
        raise
    return gradients


def _add(gradients, owned, vertex, gradient) -> None:
    """Accumulate: the first by reference, the second into a new array, later ones in place."""
    before = gradients.get(vertex)
    if before is None:
        gradients[vertex] = gradient
    elif vertex in owned and not isinstance(gradient, Tensor):
        before += gradient
    else:
        gradients[vertex] = before + gradient
        if not isinstance(gradients[vertex], Tensor) and gradients[vertex].ndim:
            owned.add(vertex)


def nodes_behind(start, stops, since=-1) -> list:
    """All nodes behind ``start`` up to ``stops``, in ascending order, if made after ``since``."""
    seen, stack = set(), list(start)
    while stack:
        vertex = stack.pop()
        if vertex in seen or vertex in stops or not isinstance(vertex, Node):
            continue
        if vertex.index < since:
            continue
        seen.add(vertex)
        for edge in vertex.edges:
            stack.append(edge[0])
    return sorted(seen, key=_by_index)


def leading_to(stops, order) -> list:
    """Those of ``order`` from which ``stops`` can be reached."""
    reach = set(stops)
    for node in order:
        if any(edge[0] in reach for edge in node.edges):
            reach.add(node)
    return [node for node in order if node in reach]


def likes_of(nodes, roots) -> dict:
    """Shape and dtype at the vertices of ``roots`` and all that ``nodes`` (ascending) use."""
    likes = {vertex_of(root): (root.shape, root.dtype) for root in roots}
    for node in reversed(nodes):
        if type(node) is Alias:
            likes[node.edges[0][0]] = likes[node]
        for vertex, shape, dtype in node.likes():
            likes[vertex] = (shape, dtype)
    return likes


def leaves(roots, stops) -> list:
    """The leaves behind the tensors ``roots`` that someone may ask for, but not ``stops``."""
    start = [vertex_of(root) for root in roots if root.requires_grad]
    nodes = nodes_behind(start, stops)
    ends = [edge[0] for node in nodes for edge in node.edges] + start
    ends = [end for end in ends if not isinstance(end, Node) and end not in stops]
    return [end for end in ends if not getattr(end, "ended", False)]


def _by_index(node):
    return node.index
