import Foundation
import Synchronization

/// A server that a test starts did not do what it should.
public struct ServerFailure: Error, CustomStringConvertible {
    public let description: String

    public init(description: String) { self.description = description }
}

/// Removed when the test process ends.
func temporaryFolder() throws -> String {
    var template = Array("/tmp/hsafa-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw ServerFailure(description: "no temporary folder") }
    let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    leftovers.withLock { $0.folders.append(folder) }
    return folder
}

private struct Leftovers {
    var pids: Set<pid_t> = []
    var folders: [String] = []
}

private let leftovers: Mutex<Leftovers> = {
    atexit {
        leftovers.withLock { left in
            for pid in left.pids { kill(pid, SIGKILL) }
            for folder in left.folders { try? FileManager.default.removeItem(atPath: folder) }
        }
    }
    return Mutex(Leftovers())
}()

func stopAtExit(_ pid: pid_t) { leftovers.withLock { _ = $0.pids.insert(pid) } }
func forgetAtExit(_ pid: pid_t) { leftovers.withLock { _ = $0.pids.remove(pid) } }
