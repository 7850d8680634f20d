import Dispatch
import Glibc

/// Runs `body` until it ends or SIGINT or SIGTERM asks for the end; then `body`'s task is canceled and awaited.
func untilInterrupted<Failure: Error>(_ body: @escaping @Sendable () async throws(Failure) -> Void) async throws(Failure) {
    let (signals, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingOldest(1))
    let sources = [SIGINT, SIGTERM].map { number in
        // The default action would end the process before the source is asked.
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler { continuation.yield() }
        source.resume()
        return source
    }
    defer { for source in sources { source.cancel() } }
    let result = await withTaskGroup(of: Result<Void, Failure>?.self) { group in
        group.addTask {
            do throws(Failure) {
                try await body()
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        group.addTask {
            for await _ in signals { break }
            return nil
        }
        var result: Result<Void, Failure>?
        for await ended in group {
            group.cancelAll()
            if let ended { result = ended }
        }
        return result
    }
    try result?.get()
}
