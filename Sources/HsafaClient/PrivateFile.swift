#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Small files on the local disk, read within a bound and replaced whole. Blocking: for clients, not for servers.
package enum PrivateFile {
    package struct Failure: Error, CustomStringConvertible {
        package let path: String
        package let reason: String
        package var description: String { "\(path): \(reason)" }

        init(_ path: String, _ reason: String) {
            self.path = path
            self.reason = reason
        }

        static func system(_ path: String) -> Failure { Failure(path, String(cString: strerror(errno))) }
    }

    /// Nil when there is no such file.
    package static func readIfPresent(_ path: String, maxBytes: Int) throws(Failure) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw .system(path)
        }
        defer { close(descriptor) }
        return try readAll(descriptor, path: path, maxBytes: maxBytes)
    }

    package static func read(_ path: String, maxBytes: Int) throws(Failure) -> [UInt8] {
        guard let bytes = try readIfPresent(path, maxBytes: maxBytes) else { throw Failure(path, "no such file") }
        return bytes
    }

    package static func readAll(_ descriptor: Int32, path: String, maxBytes: Int) throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = chunk.withUnsafeMutableBytes { buffer in
                retrying { systemRead(descriptor, buffer.baseAddress, buffer.count) }
            }
            if count < 0 { throw .system(path) }
            if count == 0 { return bytes }
            guard bytes.count + count <= maxBytes else { throw Failure(path, "is larger than \(maxBytes) bytes") }
            bytes += chunk[..<count]
        }
    }

    /// Written beside the target, synced, then renamed over it, so that a crash leaves the old file or the new one.
    package static func replace(_ path: String, with bytes: [UInt8], mode: UInt32) throws(Failure) {
        // A name that is nobody's: what stands beside the target is its owner's.
        var temporary = path
        var descriptor: Int32 = -1
        for _ in 0..<8 where descriptor < 0 {
            temporary = "\(path).\(String(UInt64.random(in: .min ... .max), radix: 36)).new"
            descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode_t(mode))
            guard descriptor >= 0 || errno == EEXIST else { break }
        }
        guard descriptor >= 0 else { throw .system(temporary) }
        do throws(Failure) {
            try write(descriptor, bytes, path: temporary)
            guard fsync(descriptor) == 0 else { throw Failure.system(temporary) }
        } catch {
            close(descriptor)
            unlink(temporary)
            throw error
        }
        close(descriptor)
        guard rename(temporary, path) == 0 else {
            let failure = Failure.system(path)
            unlink(temporary)
            throw failure
        }
    }

    /// Appends and syncs.
    package static func append(_ path: String, _ bytes: [UInt8], mode: UInt32) throws(Failure) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, mode_t(mode))
        guard descriptor >= 0 else { throw .system(path) }
        defer { close(descriptor) }
        try write(descriptor, bytes, path: path)
        guard fsync(descriptor) == 0 else { throw .system(path) }
    }

    package static func makeDirectories(_ path: String, mode: UInt32) throws(Failure) {
        var prefix = path.hasPrefix("/") ? "/" : ""
        for component in path.split(separator: "/") {
            prefix += (prefix.isEmpty || prefix.hasSuffix("/") ? "" : "/") + component
            guard mkdir(prefix, mode_t(mode)) == 0 || errno == EEXIST else { throw .system(prefix) }
        }
    }

    package static func write(_ descriptor: Int32, _ bytes: [UInt8], path: String) throws(Failure) {
        var offset = 0
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes { rest in retrying { systemWrite(descriptor, rest.baseAddress, rest.count) } }
            guard count > 0 else { throw .system(path) }
            offset += count
        }
    }

    private static func retrying(_ call: () -> Int) -> Int {
        while true {
            let result = call()
            if result >= 0 || errno != EINTR { return result }
        }
    }
}

// Free functions, because inside the enum `read` and `write` mean its own.
private func systemRead(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer?, _ count: Int) -> Int { read(descriptor, buffer, count) }
private func systemWrite(_ descriptor: Int32, _ buffer: UnsafeRawPointer?, _ count: Int) -> Int { write(descriptor, buffer, count) }
