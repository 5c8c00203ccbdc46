"""The sweep back over the tape, which adds up gradients; nothing here recurses."""

from operator import attrgetter

from lamina.autograd import _debug
from lamina.autograd._tape import Alias, Node, Output, changed, vertex_of
from lamina.autograd._tensor import Tensor


def sweep(roots, wanted=None, create_graph=False, retain_graph=False, order=None) -> dict:
    """Gradients of sum(root * seed) at leaves, or at the vertices in ``wanted``.

    Args:
        roots: pairs (tensor, seed of its shape); raw seeds, or tensors with ``create_graph``.
        wanted: vertices at which to stop and collect; None collects at all leaves.
        create_graph: run the rules on tensors, so that the gradients can be differentiated, and
            keep the tape.
        retain_graph: keep the tape. Otherwise everything passed is released.
        order: the nodes to pass, where ``reach`` found them before.

    Returns:
        a dict from vertex to gradient; what is not connected is missing.
    """
    gradients, owned = {}, set()
    for root, seed in roots:
        if root.requires_grad:
            _add(gradients, owned, vertex_of(root), seed)
    if order is None:
        order = nodes_behind(gradients, ()) if wanted is None else reach(gradients, wanted)[0]
    try:
        for node in reversed(order):
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
                if vertex in gradients:
                    _add(gradients, owned, vertex, gradient)
                else:
                    gradients[vertex] = gradient
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
    return sorted(seen, key=attrgetter("index"))


def reach(start, wanted):
    """The nodes between, and whether something else is behind ``start``.

    Args:
        start: vertices.
        wanted: vertices at which to stop.

    Returns:
        the nodes from which one of ``wanted`` can be reached, in ascending order, and whether there
        are leaves behind ``start``, not behind ``wanted``, that someone may ask for.
    """
    stops, seen, nodes, others = set(wanted), set(), [], False
    stack = list(start)
    while stack:
        vertex = stack.pop()
        if vertex in seen or vertex in stops:
            continue
        seen.add(vertex)
        if isinstance(vertex, Node):
            nodes.append(vertex)
            for edge in vertex.edges:
                stack.append(edge[0])
        elif not getattr(vertex, "ended", False):
            others = True
    nodes.sort(key=attrgetter("index"))
    return leading_to(stops, nodes), others


def leading_to(stops, order) -> list:
    """Those of ``order`` from which ``stops`` can be reached."""
    reach = set(stops)
    found = []
    for node in order:
        for edge in node.edges:  # any() costs more than the loop
            if edge[0] in reach:
                reach.add(node)
                found.append(node)
                break
    return found


def likes_of(nodes, roots) -> dict:
    """Shape and dtype at the vertices of ``roots`` and all that ``nodes`` (ascending) use."""
    likes = {vertex_of(root): (root.shape, root.dtype) for root in roots}
    for node in reversed(nodes):
        if type(node) is Alias:
            likes[node.edges[0][0]] = likes[node]
        for vertex, shape, dtype in node.likes():
            likes[vertex] = (shape, dtype)
    return likes
