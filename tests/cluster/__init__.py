"""Real clusters for tests: control planes, gateways and the agent, as classes that read like a laboratory.

Everything runs in the namespaces that `tests/cluster/enter` makes (network, mount, process ids): nothing leaves this machine, and nothing is left
behind, however a run ends.
"""
