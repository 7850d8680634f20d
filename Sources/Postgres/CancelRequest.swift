import CLibPQ
import CLinux
import Glibc

/// PQcancel opens a connection of its own and waits for the server to take note, so each has a short-lived thread.
enum CancelRequest {
    private final class Order {
        let cancel: OpaquePointer
        let token: Int
        let mailbox: Mailbox
        init(cancel: OpaquePointer, token: Int, mailbox: Mailbox) {
            self.cancel = cancel
            self.token = token
            self.mailbox = mailbox
        }
        deinit { PQfreeCancel(cancel) }
    }

    /// False when it could not be sent; else the mailbox gets `token` at the end.
    static func send(_ handle: OpaquePointer, token: Int, mailbox: Mailbox) -> Bool {
        guard let cancel = PQgetCancel(handle) else { return false }
        let order = Unmanaged.passRetained(Order(cancel: cancel, token: token, mailbox: mailbox))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let order = Unmanaged<Order>.fromOpaque(argument).takeRetainedValue()
                clinux_set_thread_name("postgres-cancel")
                withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { message in
                    _ = PQcancel(order.cancel, message.baseAddress, 256)
                }
                order.mailbox.postEndOfCancel(order.token)
                return nil
            }, order.toOpaque())
        guard code == 0 else {
            order.release()
            return false
        }
        pthread_detach(thread)
        return true
    }
}
