import CLibc
import Glibc

/// A non-blocking connection to 127.0.0.1. What is received goes to `received`, which a subclass overrides.
class Socket: PollHandler {
    let poller: Poller
    private(set) var descriptor: Int32
    private var unsent: [UInt8] = []
    private var isConnecting = true
    var isOpen: Bool { descriptor >= 0 }

    init(_ poller: Poller, port: Int) throws {
        self.poller = poller
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw BenchError("socket: \(String(cString: strerror(errno)))") }
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard result == 0 || errno == EINPROGRESS else {
            let reason = String(cString: strerror(errno))
            Glibc.close(descriptor)
            throw BenchError("connect to port \(port): \(reason)")
        }
        poller.add(descriptor, self, wantsWrite: true)
    }

    func received(_ bytes: UnsafeRawBufferPointer) {}
    func ended() {}

    func send(_ bytes: some Sequence<UInt8>) {
        guard isOpen else { return }
        unsent.append(contentsOf: bytes)
        if !isConnecting { flush() }
    }

    func disconnect() {
        guard isOpen else { return }
        poller.remove(descriptor)
        descriptor = -1
    }

    func ready(_ events: UInt32) {
        if isConnecting, events & EPOLLOUT.rawValue != 0 {
            isConnecting = false
            flush()
        } else if events & EPOLLOUT.rawValue != 0 {
            flush()
        }
        guard isOpen, events & (EPOLLIN.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 else { return }
        let count = recv(descriptor, poller.scratch.baseAddress, poller.scratch.count, 0)
        if count > 0 {
            received(UnsafeRawBufferPointer(rebasing: poller.scratch[..<count]))
        } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
            disconnect()
            ended()
        }
    }

    private func flush() {
        if !unsent.isEmpty {
            let count = unsent.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count > 0 { unsent.removeFirst(count) }
        }
        poller.change(descriptor, wantsWrite: !unsent.isEmpty)
    }
}
