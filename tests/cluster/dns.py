"""A DNS server for the laboratory, with records that tests set."""
import dnslib
import dnslib.server


class Dns:
    def __init__(self, address="127.0.0.1", port=5353):
        self.server = f"{address}:{port}"
        self.records = {}
        self.udp = dnslib.server.DNSServer(self, address=address, port=port)
        self.udp.start_thread()

    def set(self, name, addresses, ttl=5):
        self.records[name.rstrip(".") + "."] = (list(addresses), ttl)

    def resolve(self, request, _handler):
        reply = request.reply()
        addresses, ttl = self.records.get(str(request.q.qname), ([], 1))
        if not addresses:
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        for address in addresses:
            six = ":" in address
            if request.q.qtype == (dnslib.QTYPE.AAAA if six else dnslib.QTYPE.A):
                data = dnslib.AAAA(address) if six else dnslib.A(address)
                reply.add_answer(dnslib.RR(request.q.qname, request.q.qtype, rdata=data, ttl=ttl))
        return reply

    def stop(self):
        self.udp.stop()
        self.udp.server.server_close()
