import Glibc
import HsafaClient
import JSON
import NIOPosix

/// Reads a text file below one folder: `{path}` → `{path, bytes, content, truncated}`.
///
/// The path is walked component by component without following links, so nothing outside the folder can be reached, not even by a link
/// that is put in place while it is being read.
struct ReadFileTool: Sendable {
    private let root: String
    private let maxBytes: Int

    init(_ settings: JSONObjectReader, directory: String) throws(JSONViolation) {
        var settings = settings
        let root = try settings.string("root", maxBytes: 4096)
        guard !root.isEmpty, !root.utf8.contains(0) else {
            throw JSONViolation(pointer: settings.pointer(to: "root"), message: "must be a folder's path")
        }
        self.root = root.hasPrefix("/") ? root : "\(directory)/\(root)"
        maxBytes = try settings.optionalInt("maxBytes", in: 1...(1 << 20)) ?? 65_536
        try settings.finish()
    }

    func perform(_ args: JSONNode) async -> ToolOutcome {
        guard let path = args["path"]?.string else { return .error(code: "bad_arguments", message: "“path” must be a string.") }
        do {
            return try await NIOThreadPool.singleton.runIfActive { read(path) }
        } catch {
            return .error(code: "device_shutting_down", message: "The device is shutting down.")
        }
    }

    func read(_ path: String) -> ToolOutcome {
        let components = path.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...4096).contains(path.utf8.count), !path.utf8.contains(0),
            components.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." })
        else {
            return .error(code: "path_refused", message: "“path” must be relative, without empty, “.” and “..” parts.")
        }
        var directory = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return .error(code: "folder_missing", message: "The device's folder cannot be opened.") }
        defer { close(directory) }
        for component in components.dropLast() {
            let next = openat(directory, String(component), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard next >= 0 else { return Self.refusal(path) }
            close(directory)
            directory = next
        }
        // Without O_NONBLOCK a FIFO would hang here before it can be refused.
        let file = openat(directory, String(components[components.count - 1]), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { return Self.refusal(path) }
        defer { close(file) }
        var information = stat()
        guard fstat(file, &information) == 0, information.st_mode & S_IFMT == S_IFREG else {
            return .error(code: "path_refused", message: "“\(path)” is not a regular file.")
        }
        return content(of: file, path: path, size: Int(information.st_size))
    }

    private func content(of file: Int32, path: String, size: Int) -> ToolOutcome {
        var bytes = [UInt8](repeating: 0, count: maxBytes + 1)
        var count = 0
        while count < bytes.count {
            let received = bytes[count...].withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
            if received < 0, errno == EINTR { continue }
            guard received >= 0 else { return .error(code: "read_failed", message: "“\(path)” cannot be read.") }
            if received == 0 { break }
            count += received
        }
        let isTruncated = count > maxBytes
        var text = bytes[..<min(count, maxBytes)]
        // A cut may have split a character: up to three of its bytes are left over.
        if isTruncated { for _ in 0..<3 where String(validating: text, as: UTF8.self) == nil { text.removeLast() } }
        guard let content = String(validating: text, as: UTF8.self) else {
            return .error(code: "not_text", message: "“\(path)” is not UTF-8 text.")
        }
        return .result(
            .object { writer in
                writer.field("path", string: path)
                writer.field("bytes", int: max(size, text.count))
                writer.field("content", string: content)
                writer.field("truncated", bool: isTruncated)
            })
    }

    private static func refusal(_ path: String) -> ToolOutcome {
        switch errno {
        case ENOENT: .error(code: "not_found", message: "There is no file “\(path)”.")
        case ELOOP, ENOTDIR: .error(code: "path_refused", message: "“\(path)” leads through a link or something that is no folder.")
        default: .error(code: "read_failed", message: "“\(path)” cannot be opened.")
        }
    }
}
