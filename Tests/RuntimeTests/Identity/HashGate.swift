@testable import Argon2
import Dispatch

/// Keeps the one thread of a hasher busy, so that what comes meanwhile queues: then how many are hashed, how many wait and how many
/// are refused is a matter of numbers and not of time.
final class HashGate: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)

    /// Returns when the thread is busy.
    init(closing hasher: PasswordHasher) async {
        let semaphore = semaphore
        await withCheckedContinuation { continuation in
            let refusal = hasher.pool.submit { _ in
                continuation.resume()
                semaphore.wait()
            }
            if refusal != nil { continuation.resume() }
        }
    }

    func open() { semaphore.signal() }
}
