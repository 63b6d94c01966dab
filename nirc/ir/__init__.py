"""The intermediate representation: one networkx graph, three forms."""
