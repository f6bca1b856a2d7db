"""Passes: the loops over the nodes of a graph, from what was recorded to what is laid out.

`native.py` compiles this file, once per machine; without llvmlite, Python runs it as it is. All
that a pass reads and writes are rows of whole numbers. A pass that writes a new graph is given rows
that are long enough for it. `numbering`, `simplify` and `layout` call the passes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .tape import AFFINE, BY_ELEMENT, BY_ROW

Whole = Any  # a row of 32-bit whole numbers: an array, or its address in machine code

# Where the spaces begin in which nodes are numbered while a function is recorded: see `rows.py`.
BITS = 28
SPACE = 1 << BITS
PARAMETERS, NUMBERS, ONCE, LEAVES, STAMPED, OWN = range(-5 * SPACE, SPACE, SPACE)

# The kinds of nodes: leaves, vectors, picks; another kind is the place of an op in `Graph.ops`.
PARAMETER, INPUT, RANDOM, NUMBER, VECTOR, PICK = -6, -5, -4, -3, -2, -1
STAMP = -7  # what is recorded in place of the nodes of a template
ADD, MUL, POW, SUM, DOT = 0, 1, 2, 3, 4  # the ops that are simplified

PER_EXAMPLE, ACTIVE = 1, 2  # flags: depends on the example; a parameter's gradient flows through
NO_SLOT, UNKNOWN = -1, -2  # in place of a parameter's slot
NOWHERE = -(1 << 31)  # the place of a parameter that has no slot yet


class Nodes(NamedTuple):
    """A graph: each node has its kind, and the operands from first[i] to first[i + 1].

    tags: which leaf of its kind; or 1 for a result through which no gradient flows.
    flags: PER_EXAMPLE and ACTIVE. origins: the number of the node when it was recorded.
    """

    kinds: Whole
    tags: Whole
    first: Whole
    operands: Whole
    flags: Whole
    origins: Whole


class Table(NamedTuple):
    """A hash table of nodes: 1 + the node, or 0; `size`, a power of 2, has its length."""

    nodes: Whole
    size: Whole


class Terms(NamedTuple):
    """The terms of sums, each a list of links.

    heads, tails: for a node that is a sum, the first and the last of its terms; else -1.
    lefts, rights: for a term, its factors, which are two nodes or two vectors; or a node and -1.
    following: the next term of the same sum, or -1.
    """

    heads: Whole
    tails: Whole
    lefts: Whole
    rights: Whole
    following: Whole


# ---- from what was recorded to a graph


def count_up(count: int, numbers: Whole) -> None:
    """Writes 0, 1, 2, …"""
    for k in range(count):
        numbers[k] = k


def add_up(count: int, kinds: Whole, widths: Whole, lengths: Whole, first: Whole) -> None:
    """Writes where the operands of each node begin, and those of the last one end.

    widths: how many operands the ops have; lengths: how many elements the vectors have, in order.
    """
    first[0] = 0
    vectors = 0
    for i in range(count):
        kind, width = kinds[i], 0
        if kind >= 0:
            width = widths[kind]
        elif kind == PICK:
            width = 2
        elif kind == VECTOR:
            width = lengths[vectors]
            vectors += 1
        first[i + 1] = first[i] + width


def expand(
    count: int, kinds: Whole, tags: Whole, widths: Whole, lengths: Whole,
    operands: Whole, stamps: Whole, templates: Nodes, begins: Whole, taken: Whole,
    made: int, new: Nodes, own: Whole, stamped: Whole,
) -> None:  # fmt: skip
    """Writes what was recorded from node `made` on, with the nodes of its template for each stamp.

    kinds to operands: what was recorded, and the lengths of its vectors; stamps: the template of
    each stamp. begins: where the nodes of each template begin, and taken: how many operands its
    stamps have; what its nodes take is one of these, or a node of it, as ~place.
    own, stamped: the nodes that were recorded, and those of templates, by their new numbers.
    """
    end, taking, vectors, stamp, copied = new.first[made], 0, 0, 0, 0
    for i in range(count):
        own[i] = made
        kind = kinds[i]
        if kind == STAMP:
            template = stamps[stamp]
            stamp += 1
            first = STAMPED + copied
            for node in range(begins[template], begins[template + 1]):
                for k in range(templates.first[node], templates.first[node + 1]):
                    code = templates.operands[k]
                    new.operands[end] = operands[taking + code] if code >= 0 else first - 1 - code
                    end += 1
                new.kinds[made], new.tags[made] = templates.kinds[node], templates.tags[node]
                stamped[copied] = made
                copied += 1
                made += 1
                new.first[made] = end
            taking += taken[template]
        else:
            width = 2 if kind == PICK else 0
            if kind >= 0:
                width = widths[kind]
            elif kind == VECTOR:
                width = lengths[vectors]
                vectors += 1
            for k in range(taking, taking + width):
                new.operands[end] = operands[k]
                end += 1
            taking += width
            new.kinds[made], new.tags[made] = kind, tags[i]
            made += 1
            new.first[made] = end


def renumber(count: int, numbers: Whole, begins: Whole, own: Whole, stamped: Whole) -> None:
    """Numbers that count in spaces become those of the nodes: each space has its begin."""
    for k in range(count):
        number = numbers[k]
        if number >= OWN:
            numbers[k] = own[number]
        elif number >= STAMPED:
            numbers[k] = stamped[number - STAMPED]
        else:
            place = number - PARAMETERS
            numbers[k] = begins[place >> BITS] + (place & (SPACE - 1))


# ---- which nodes are needed, and which are numbers


def mark(count: int, nodes: Nodes, needed: Whole) -> None:
    """Marks the operands of every marked node."""
    for i in range(count - 1, -1, -1):
        if needed[i]:
            for k in range(nodes.first[i], nodes.first[i + 1]):
                needed[nodes.operands[k]] = 1


def size(count: int, nodes: Nodes, needed: Whole) -> int:
    """How many nodes but vectors are marked."""
    found = 0
    for i in range(count):
        if needed[i] and nodes.kinds[i] != VECTOR:
            found += 1
    return found


def claim(count: int, nodes: Nodes, needed: Whole, slots: Whole) -> int:
    """Parameters that are marked and UNKNOWN will get a slot; returns how many they are.

    slots: of the parameters, by their tags.
    """
    found = 0
    for i in range(count):
        if needed[i] and nodes.kinds[i] == PARAMETER and slots[nodes.tags[i]] == UNKNOWN:
            slots[nodes.tags[i]] = NO_SLOT
            found += 1
    return found


def take_slot(tag: int, slots: Whole, is_moved: Whole, free: Whole) -> None:
    """Gives the next slot to the parameter with this tag; the arguments are those of `locate`."""
    which = 0 if is_moved[tag] else 1
    slots[tag] = free[which]
    free[which] += 1


def place_parameters(count: int, slots: Whole, is_moved: Whole, free: Whole, places: Whole) -> None:
    """Gives a slot to parameters that have NO_SLOT; the place of the parameter of each slot.

    slots, is_moved, free: as in `locate`.
    """
    for k in range(count):
        if slots[k] == NO_SLOT:
            take_slot(k, slots, is_moved, free)
        if slots[k] != UNKNOWN:
            places[slots[k]] = k


def mark_numbers(count: int, nodes: Nodes, needed: Whole, known: Whole) -> int:
    """Marks what depends on numbers alone; returns how many needed ops there are among it."""
    found = 0
    for i in range(count):
        kind = nodes.kinds[i]
        known[i] = kind == NUMBER
        if kind >= 0 or kind == VECTOR:
            known[i] = 1
            for k in range(nodes.first[i], nodes.first[i + 1]):
                known[i] &= known[nodes.operands[k]]
            if known[i] and needed[i] and kind >= 0:
                found += 1
    return found


# ---- each node once


def mixed(a: int, b: int) -> int:
    """A number from 0 to 2**31 - 1 that two others spread evenly over this range."""
    number = ((a ^ (b + 0x9E3779B)) * 0x45D9F3B) & 0x7FFFFFFF
    return number ^ (number >> 15)


def add(nodes: Nodes, table: Table, made: int, kind: int, tag: int, end: int, origin: int) -> int:
    """Adds a node, whose operands have been written up to `end`, as number `made`.

    Returns its number, or that of an equal node that was added before.
    """
    begin = nodes.first[made]
    if kind != PARAMETER:  # each parameter is one node
        place = mixed(kind, tag)
        for k in range(begin, end):
            place = mixed(place, nodes.operands[k])
        last = table.size[0] - 1
        place &= last
        while table.nodes[place]:
            other = table.nodes[place] - 1
            shift = nodes.first[other] - begin
            if (
                nodes.kinds[other] == kind
                and nodes.tags[other] == tag
                and nodes.first[other + 1] - shift == end
            ):
                k = begin
                while k < end and nodes.operands[k] == nodes.operands[k + shift]:
                    k += 1
                if k == end:
                    return int(other)
            place = (place + 1) & last
        table.nodes[place] = 1 + made
    flags = ACTIVE if kind == PARAMETER else PER_EXAMPLE if kind in (INPUT, RANDOM) else 0
    for k in range(begin, end):
        flags |= nodes.flags[nodes.operands[k]]
    nodes.kinds[made], nodes.tags[made], nodes.first[made + 1] = kind, tag, end
    nodes.flags[made] = flags & PER_EXAMPLE if kind >= 0 and tag else flags
    nodes.origins[made] = origin
    return made


def join(
    count: int, nodes: Nodes, needed: Whole, two: int, renamed: Whole, new: Nodes,
    table: Table, uses: Whole,
) -> int:  # fmt: skip
    """Writes each needed node once, and a square as a product; returns the size of the graph.

    two: the tag of the number 2. renamed: the new numbers of the nodes; uses: how many operands
    each new node is.
    """
    made = 0
    new.first[0] = 0
    for i in range(count):
        if not needed[i]:
            continue
        kind = nodes.kinds[i]
        begin = end = new.first[made]
        if kind >= VECTOR:
            for k in range(nodes.first[i], nodes.first[i + 1]):
                new.operands[end] = renamed[nodes.operands[k]]
                end += 1
        if kind == POW:
            exponent = new.operands[end - 1]
            if new.kinds[exponent] == NUMBER and new.tags[exponent] == two:
                kind = MUL
                new.operands[end - 1] = new.operands[begin]
        renamed[i] = add(new, table, made, kind, nodes.tags[i], end, i)
        if renamed[i] == made:
            uses[made] = 0
            for k in range(begin, end):
                uses[new.operands[k]] += 1
            made += 1
    return made


# ---- sums of products


def most_links(count: int, nodes: Nodes) -> int:
    """How many links the terms of all sums may need."""
    found = 0
    for i in range(count):
        kind, begin = nodes.kinds[i], nodes.first[i]
        if kind == DOT:
            found += 1
        elif kind == ADD:
            found += 2
        elif kind == SUM:
            found += nodes.first[nodes.operands[begin] + 1] - nodes.first[nodes.operands[begin]]
    return found


def link_sums(count: int, nodes: Nodes, uses: Whole, terms: Terms) -> None:
    """Links the terms of every sum, after merging those terms that nothing else uses.

    A dot is a sum of one term.
    """
    made = 0
    for i in range(count):
        terms.heads[i] = terms.tails[i] = -1
        kind = nodes.kinds[i]
        if kind == DOT:
            terms.heads[i] = terms.tails[i] = made
            terms.lefts[made] = nodes.operands[nodes.first[i]]
            terms.rights[made] = nodes.operands[nodes.first[i] + 1]
            terms.following[made] = -1
            made += 1
        if kind != ADD and kind != SUM:
            continue
        listed = nodes.operands[nodes.first[i]] if kind == SUM else i
        for k in range(nodes.first[listed], nodes.first[listed + 1]):
            term = nodes.operands[k]
            begin = nodes.first[term]
            flows = 0
            for j in range(begin, nodes.first[term + 1]):
                flows |= nodes.flags[nodes.operands[j]]
            own = (
                uses[term] == 1
                and (listed == i or uses[listed] == 1)
                and (nodes.flags[term] ^ nodes.flags[i]) & PER_EXAMPLE == 0
                and (nodes.flags[term] ^ flows) & ACTIVE == 0  # else it was made under no_grad
            )
            if own and terms.heads[term] >= 0:
                head, tail = terms.heads[term], terms.tails[term]
                terms.heads[term] = -1
            else:
                head = tail = made
                made += 1
                terms.following[tail] = -1
                terms.lefts[tail], terms.rights[tail] = term, -1
                if own and nodes.kinds[term] == MUL:
                    terms.lefts[tail] = nodes.operands[begin]
                    terms.rights[tail] = nodes.operands[begin + 1]
            if terms.heads[i] < 0:
                terms.heads[i] = head
            else:
                terms.following[terms.tails[i]] = head
            terms.tails[i] = tail


def mark_terms(count: int, nodes: Nodes, terms: Terms, needed: Whole) -> None:
    """Marks the operands of every marked node, or the terms if it is a sum."""
    for i in range(count - 1, -1, -1):
        if not needed[i]:
            continue
        term = terms.heads[i]
        if term < 0:
            for k in range(nodes.first[i], nodes.first[i + 1]):
                needed[nodes.operands[k]] = 1
        while term >= 0:
            needed[terms.lefts[term]] = 1
            if terms.rights[term] >= 0:
                needed[terms.rights[term]] = 1
            term = terms.following[term]


def factor(left: int, right: int, side: int, nodes: Nodes) -> int:
    """The factor on this side of a product; one that depends on no example, on 0."""
    swapped = nodes.flags[left] & PER_EXAMPLE and not nodes.flags[right] & PER_EXAMPLE
    return right if (side == 0) == (swapped != 0) else left


def write_factors(
    nodes: Nodes, terms: Terms, term: int, side: int, renamed: Whole, new: Nodes, end: int
) -> int:
    """Writes one side of the products from `term` on as operands; returns where they end."""
    while term >= 0:
        left, right = terms.lefts[term], terms.rights[term]
        if right >= 0 and nodes.kinds[left] == VECTOR:
            right_begin = nodes.first[right] - nodes.first[left]
            for k in range(nodes.first[left], nodes.first[left + 1]):
                x, y = nodes.operands[k], nodes.operands[k + right_begin]
                new.operands[end] = renamed[factor(x, y, side, nodes)]
                end += 1
        elif right >= 0:
            new.operands[end] = renamed[factor(left, right, side, nodes)]
            end += 1
        term = terms.following[term]
    return end


def products_of(head: int, nodes: Nodes, terms: Terms) -> int:
    """How many products there are among the terms from `head` on."""
    found = 0
    while head >= 0:
        left = terms.lefts[head]
        if terms.rights[head] >= 0:
            is_dot = nodes.kinds[left] == VECTOR
            found += nodes.first[left + 1] - nodes.first[left] if is_dot else 1
        head = terms.following[head]
    return int(found)


def others_of(head: int, terms: Terms) -> int:
    """How many of the terms from `head` on are no products."""
    found = 0
    while head >= 0:
        found += terms.rights[head] < 0
        head = terms.following[head]
    return found


def lone_dot(head: int, nodes: Nodes, terms: Terms) -> int:
    """The term that is a dot and has all products, if its vectors stay as they are; else -1."""
    found = -1
    while head >= 0:
        if terms.rights[head] >= 0:
            if found >= 0:
                return -1
            found = head
        head = terms.following[head]
    if found >= 0:
        left = terms.lefts[found]
        if nodes.kinds[left] != VECTOR or nodes.flags[left] & PER_EXAMPLE:
            return -1
    return int(found)


def room(count: int, nodes: Nodes, terms: Terms, needed: Whole, sizes: Whole) -> None:
    """Writes how many nodes, and how many operands, `rebuild` makes at most."""
    sizes[0] = sizes[1] = 0
    for i in range(count):
        if needed[i]:
            head = terms.heads[i]
            sizes[0] += 1 if head < 0 else 6
            sizes[1] += nodes.first[i + 1] - nodes.first[i] if head < 0 else 8
            sizes[1] += others_of(head, terms)
            if lone_dot(head, nodes, terms) < 0:
                sizes[1] += 2 * products_of(head, nodes, terms)


def rebuild(
    count: int, nodes: Nodes, terms: Terms, needed: Whole, renamed: Whole, new: Nodes,
    table: Table,
) -> int:  # fmt: skip
    """Writes the needed nodes, each sum as few ops; returns how many."""
    made = 0
    new.first[0] = 0
    for i in range(count):
        if not needed[i]:
            continue
        kind, tag, origin = nodes.kinds[i], nodes.tags[i], nodes.origins[i]
        head = terms.heads[i]
        if head < 0:
            end = new.first[made]
            for k in range(nodes.first[i], nodes.first[i + 1]):
                new.operands[end] = renamed[nodes.operands[k]]
                end += 1
            renamed[i] = add(new, table, made, kind, tag, end, origin)
            made += renamed[i] == made
            continue

        # the products: a dot, or one mul
        products, others = products_of(head, nodes, terms), others_of(head, terms)
        is_dot = products > 1 or kind == DOT
        left = right = product = -1
        dot = lone_dot(head, nodes, terms)
        if dot >= 0:
            left, right = renamed[terms.lefts[dot]], renamed[terms.rights[dot]]
        elif is_dot:
            end = write_factors(nodes, terms, head, 0, renamed, new, new.first[made])
            left = add(new, table, made, VECTOR, 0, end, origin)
            made += left == made
            end = write_factors(nodes, terms, head, 1, renamed, new, new.first[made])
            right = add(new, table, made, VECTOR, 0, end, origin)
            made += right == made

        # the other terms: none, one, or their sum
        rest = -1
        end = new.first[made]
        term = head
        while term >= 0:
            if terms.rights[term] < 0:
                rest = new.operands[end] = renamed[terms.lefts[term]]
                end += 1
            term = terms.following[term]
        as_bias = is_dot and others == 1 and not new.flags[rest] & PER_EXAMPLE
        if others > 2 or (others == 2 and products) or (others == 1 and not products):
            rest = add(new, table, made, VECTOR, 0, end, origin)
            made += rest == made
            new.operands[new.first[made]] = rest
            rest = add(new, table, made, SUM, tag, new.first[made] + 1, origin)
            made += rest == made

        if products:
            end = new.first[made]
            if is_dot:
                new.operands[end], new.operands[end + 1] = left, right
                if as_bias:
                    new.operands[end + 2] = rest
                product = add(new, table, made, DOT, tag, end + 2 + as_bias, origin)
            else:
                write_factors(nodes, terms, head, 0, renamed, new, end)
                write_factors(nodes, terms, head, 1, renamed, new, end + 1)
                product = add(new, table, made, MUL, tag, end + 2, origin)
            made += product == made
        end = new.first[made]
        if products and (others == 0 or as_bias):
            renamed[i] = product
        elif others == 2 and not products:
            renamed[i] = add(new, table, made, ADD, tag, end + 2, origin)
        elif products:
            new.operands[end], new.operands[end + 1] = product, rest
            renamed[i] = add(new, table, made, ADD, tag, end + 2, origin)
        else:
            renamed[i] = rest
        made += renamed[i] == made
    return made


# ---- groups of nodes that become instructions


def level(count: int, nodes: Nodes, levels: Whole) -> None:
    """The distance of each node from the leaves; a vector counts as its elements."""
    for i in range(count):
        levels[i] = 0
        for k in range(nodes.first[i], nodes.first[i + 1]):
            levels[i] = max(levels[i], levels[nodes.operands[k]])
        if nodes.kinds[i] > VECTOR:
            levels[i] += 1


def length_of(node: int, nodes: Nodes, is_reduction: Whole) -> int:
    """The length of the vectors of an op, or of what is picked from; 1 for an op of numbers."""
    kind = nodes.kinds[node]
    if kind != PICK and not is_reduction[kind]:
        return 1
    vector = nodes.operands[nodes.first[node] + (kind == PICK)]
    return int(nodes.first[vector + 1] - nodes.first[vector])


def index_of(node: int, nodes: Nodes) -> int:
    """The index of a pick, a node; -1 for any other op."""
    return int(nodes.operands[nodes.first[node]]) if nodes.kinds[node] == PICK else -1


def group(
    count: int, nodes: Nodes, is_reduction: Whole, levels: Whole, groups: Whole,
    table: Table, samples: Whole, sizes: Whole,
) -> int:  # fmt: skip
    """Puts like nodes at one distance from the leaves into groups; returns how many groups.

    groups: the group of each node, -1 for leaves and vectors. samples, sizes: the first node of
    each group, and how many nodes it has.
    """
    made = 0
    last = table.size[0] - 1
    for i in range(count):
        groups[i] = -1
        kind = nodes.kinds[i]
        if kind <= VECTOR:
            continue
        width = nodes.first[i + 1] - nodes.first[i]
        length, index = length_of(i, nodes, is_reduction), index_of(i, nodes)
        place = mixed(mixed(mixed(levels[i], kind), mixed(length, width)), index) & last
        while groups[i] < 0:
            if not table.nodes[place]:
                table.nodes[place] = 1 + made
                samples[made], sizes[made] = i, 0
                made += 1
            found = table.nodes[place] - 1
            sample = samples[found]
            if (
                nodes.kinds[sample] == kind
                and levels[sample] == levels[i]
                and nodes.flags[sample] == nodes.flags[i]
                and nodes.first[sample + 1] - nodes.first[sample] == width
                and length_of(sample, nodes, is_reduction) == length
                and index_of(sample, nodes) == index
            ):
                groups[i] = found
            place = (place + 1) & last
        sizes[groups[i]] += 1
    return made


def collect(count: int, groups: Whole, ends: Whole, members: Whole) -> None:
    """Writes the nodes of each group side by side; `ends` begins as where each group begins."""
    for i in range(count):
        if groups[i] >= 0:
            members[ends[groups[i]]] = i
            ends[groups[i]] += 1


# ---- where operands are


def place_leaves(
    count: int, nodes: Nodes, slots: Whole, numbers: int, place: Whole, tags: Whole
) -> int:
    """The places of leaves; random numbers get none.

    slots: of the parameters, by their tags; numbers: the place of the first plain number.
    tags: those of the plain numbers; returns how many there are.
    """
    found = 0
    for i in range(count):
        kind, tag = nodes.kinds[i], nodes.tags[i]
        if kind == PARAMETER:
            place[i] = -1 - slots[tag] if slots[tag] >= 0 else NOWHERE
        elif kind == INPUT:
            place[i] = tag
        elif kind == NUMBER:
            place[i] = numbers - found
            tags[found] = tag
            found += 1
    return found


def column(count: int, members: Whole, nodes: Nodes, j: int, operands: Whole) -> None:
    """Writes operand j of each of these nodes."""
    for k in range(count):
        operands[k] = nodes.operands[nodes.first[members[k]] + j]


def put(count: int, members: Whole, begin: int, step: int, place: Whole) -> None:
    """Gives each of these nodes the next place."""
    for k in range(count):
        place[members[k]] = begin + k * step


def grid(
    count: int, members: Whole, nodes: Nodes, columns: Whole, rows: Whole,
    biases: Whole, cells: Whole,
) -> int:  # fmt: skip
    """Arranges dots in a grid, if they fill one; returns how many columns it has, or 0.

    It is -1 if every left vector is of the example: then there can be no grid. Each column has a
    left vector and a bias, and each row a right vector. columns, rows: 1 + the column or row of
    each vector; all 0 before and after. cells: the dots, row by row.
    """
    made_columns = made_rows = misfits = single = 0
    for k in range(count):
        begin, end = nodes.first[members[k]], nodes.first[members[k] + 1]
        left, right = nodes.operands[begin], nodes.operands[begin + 1]
        bias = nodes.operands[begin + 2] if end - begin > 2 else -1
        if columns[left] == 0:
            biases[made_columns] = bias
            made_columns += 1
            columns[left] = made_columns
        if rows[right] == 0:
            made_rows += 1
            rows[right] = made_rows
        if biases[columns[left] - 1] != bias:
            misfits += 1
        if nodes.flags[left] & PER_EXAMPLE:
            single += 1
    if single == count:
        found = -1
    elif single or misfits or count == 1 or made_columns * made_rows != count:
        found = 0
    else:
        found = made_columns
        for k in range(count):
            begin = nodes.first[members[k]]
            left, right = nodes.operands[begin], nodes.operands[begin + 1]
            cells[(rows[right] - 1) * found + columns[left] - 1] = members[k]
    for k in range(count):
        begin = nodes.first[members[k]]
        columns[nodes.operands[begin]] = rows[nodes.operands[begin + 1]] = 0
    return found


def step_of(begin: int, length: int, places: Whole) -> int:
    """Twice the step of a row of places, plus 1 if it is per example; NOWHERE without a step."""
    step = places[begin + 1] - places[begin] if length > 1 else 0
    per_example = places[begin] >= 0
    if (places[begin + length - 1] >= 0) != per_example:
        return NOWHERE
    for k in range(begin + 1, begin + length):
        if places[k] - places[k - 1] != step:
            return NOWHERE
    return int(2 * step + per_example)


def row_steps(rows: int, length: int, places: Whole, steps: Whole) -> int:
    """Writes `step_of` of each row; returns how many rows have no step."""
    irregular = 0
    for i in range(rows):
        steps[i] = step_of(i * length, length, places)
        irregular += steps[i] == NOWHERE
    return irregular


def find_steps(count: int, length: int, places: Whole) -> int:
    """Whether rows of `length` places go in steps: AFFINE, BY_ROW, or BY_ELEMENT without a rule."""
    step = step_of(0, length, places)
    between = places[length] - places[0] if count > length else 0
    rule = AFFINE
    for begin in range(0, count, length):
        if step == NOWHERE or step_of(begin, length, places) != step:
            return BY_ELEMENT
        if begin and places[begin] - places[begin - length] != between:
            rule = BY_ROW
    return rule


def find_ends(count: int, places: Whole, found: Whole) -> None:
    """Finds the lowest and the highest of these places."""
    lowest = highest = places[0]
    for k in range(1, count):
        lowest, highest = min(lowest, places[k]), max(highest, places[k])
    found[0], found[1] = lowest, highest


def find_runs(count: int, places: Whole, runs: Whole) -> int:
    """Writes how many places from each on are the same; returns how many runs of them there are."""
    found = 0
    for i in range(count - 1, -1, -1):
        is_same = i + 1 < count and places[i] == places[i + 1]
        runs[i] = runs[i + 1] + 1 if is_same else 1
        found += not is_same
    return found


def give_slot(
    node: int, nodes: Nodes, place: Whole, slots: Whole, is_moved: Whole, free: Whole
) -> None:
    """Gives the next slot to a parameter, if the node is one that has none."""
    if place[node] == NOWHERE:
        tag = nodes.tags[node]
        take_slot(tag, slots, is_moved, free)
        place[node] = -1 - slots[tag]


def locate(
    count: int, members: Whole, nodes: Nodes, j: int, width: int, is_vector: int,
    place: Whole, slots: Whole, is_moved: Whole, free: Whole, places: Whole,
    found: Whole, ends: Whole,
) -> None:  # fmt: skip
    """Writes the places of operand j of each of these nodes, or of the nodes if j is -1.

    A vector has those of its `width` elements; of other operands, `width` are in a row. A
    parameter gets the next slot at its first use; if the nodes are picks, those that are picked
    together are side by side.

    slots, is_moved: of the parameters, by their tags; free: the next slot of one that is moved,
    and of another one. found: in which steps the rows go, as `find_steps` says; whether a gradient
    flows to any of the places. ends: the lowest and the highest place.
    """
    end = flags = 0
    if is_vector and nodes.kinds[members[0]] == PICK:
        for e in range(width):
            for k in range(count):
                vector = nodes.operands[nodes.first[members[k]] + j]
                element = nodes.operands[nodes.first[vector] + e]
                give_slot(element, nodes, place, slots, is_moved, free)
    for k in range(count):
        node = members[k] if j < 0 else nodes.operands[nodes.first[members[k]] + j]
        flags |= nodes.flags[node]
        begin = nodes.first[node]
        for e in range(width if is_vector else 1):
            element = nodes.operands[begin + e] if is_vector else node
            give_slot(element, nodes, place, slots, is_moved, free)
            places[end] = place[element]
            end += 1
    found[0], found[1] = find_steps(end, width, places), flags & ACTIVE
    find_ends(end, places, ends)


ROWS = (Nodes, Table, Terms)
ENTRIES = (  # the passes that are called from Python
    "count_up", "add_up", "expand", "renumber", "mark", "size", "claim", "place_parameters",
    "mark_numbers", "join", "most_links", "link_sums", "mark_terms", "room", "rebuild",
    "level", "group", "collect", "place_leaves", "column",
    "put", "grid", "row_steps", "find_steps", "find_runs", "find_ends", "locate",
)  # fmt: skip
