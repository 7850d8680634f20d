import Foundation

/// The repository's own files, found from where this one lies.
enum SourceTree {
    struct File: Sendable {
        /// From the repository's root, with `/`.
        let path: String
        let lines: [Substring]

        var module: String { path.split(separator: "/").dropFirst().first.map(String.init) ?? "" }
        var name: String { path.split(separator: "/").last.map(String.init) ?? "" }
        var text: String { lines.joined(separator: "\n") }
    }

    static let root: String = {
        // Tests/TidyTests/SourceTree.swift → the repository.
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(3)
        return parts.joined(separator: "/")
    }()

    /// Read once for all tests.
    static let sources = Result { try files("Sources") }
    static let tests = Result { try files("Tests") }

    static func read(_ path: String) -> String? { try? String(contentsOfFile: root + "/" + path, encoding: .utf8) }

    /// Every file below `folder` that ends in `suffix`.
    static func files(_ folder: String, suffix: String = ".swift") throws -> [File] {
        var found: [File] = []
        for name in try FileManager.default.contentsOfDirectory(atPath: root + "/" + folder).sorted() where !name.hasPrefix(".") {
            let path = folder + "/" + name
            var isDirectory: ObjCBool = false
            guard FileManager.default.fileExists(atPath: root + "/" + path, isDirectory: &isDirectory) else { continue }
            if isDirectory.boolValue {
                found += try files(path, suffix: suffix)
            } else if name.hasSuffix(suffix), let text = read(path) {
                found.append(File(path: path, lines: text.split(separator: "\n", omittingEmptySubsequences: false)))
            }
        }
        return found
    }

    static func folders(_ folder: String) throws -> [String] {
        var found: [String] = []
        for name in try FileManager.default.contentsOfDirectory(atPath: root + "/" + folder) where !name.hasPrefix(".") {
            var isDirectory: ObjCBool = false
            let path = folder + "/" + name
            guard FileManager.default.fileExists(atPath: root + "/" + path, isDirectory: &isDirectory), isDirectory.boolValue else {
                continue
            }
            found.append(path)
            found += try folders(path)
        }
        return found
    }
}

extension Substring {
    /// By bytes: the whole tree is read in a moment, also in debug builds.
    func has(_ needle: StaticString) -> Bool {
        utf8.withContiguousStorageIfAvailable { bytes in
            guard var start = bytes.baseAddress else { return false }
            let end = start + bytes.count
            let length = needle.utf8CodeUnitCount
            while end - start >= length, let found = memchr(start, Int32(needle.utf8Start.pointee), end - start - length + 1) {
                start = UnsafePointer(found.assumingMemoryBound(to: UInt8.self))
                if memcmp(start, needle.utf8Start, length) == 0 { return true }
                start += 1
            }
            return false
        } ?? contains("\(needle)")
    }

    /// The line without what stands behind `//`, unless that is inside a string on this line.
    var code: Substring {
        guard has("//") else { return self }
        var isInString = false
        var previous: UInt8 = 0
        for index in utf8.indices {
            let byte = utf8[index]
            if byte == UInt8(ascii: "\""), previous != UInt8(ascii: "\\") { isInString.toggle() }
            if !isInString, byte == UInt8(ascii: "/"), previous == byte { return self[..<utf8.index(before: index)] }
            previous = byte
        }
        return self
    }

    var isComment: Bool { drop { $0 == " " }.hasPrefix("//") }
}
