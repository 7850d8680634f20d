import Foundation
import Synchronization

/// A server that a test starts did not do what it should.
public struct ServerFailure: Error, CustomStringConvertible {
    public let description: String

    public init(description: String) { self.description = description }
}

/// With these files; removed when the test process ends.
public func temporaryFolder(_ files: [String: String] = [:]) throws -> String {
    var template = Array("/tmp/hsafa-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw ServerFailure(description: "no temporary folder") }
    let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    leftovers.withLock { $0.folders.append(folder) }
    for (name, text) in files { try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name)")) }
    return folder
}

private struct Leftovers {
    /// Not their numbers: of one that has ended, the number may be another's.
    var children: [ObjectIdentifier: ChildProcess] = [:]
    var folders: [String] = []
}

private let leftovers: Mutex<Leftovers> = {
    atexit {
        leftovers.withLock { left in
            for child in left.children.values { child.signal(SIGKILL) }
            for folder in left.folders { try? FileManager.default.removeItem(atPath: folder) }
        }
    }
    return Mutex(Leftovers())
}()

func stopAtExit(_ child: ChildProcess) { leftovers.withLock { $0.children[ObjectIdentifier(child)] = child } }
func forgetAtExit(_ child: ChildProcess) { leftovers.withLock { $0.children[ObjectIdentifier(child)] = nil } }
