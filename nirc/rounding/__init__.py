"""How weights become whole numbers: by the sum of a neuron's weights, or by what its sources really send."""
