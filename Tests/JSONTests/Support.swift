import Foundation
import JSON

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func parse(_ text: String, limits: JSONLimits = .default) throws(JSONError) -> JSONNode {
    try JSONDocument(parsing: bytes(text), limits: limits).root
}

func refusal(_ text: String, limits: JSONLimits = .default) -> JSONError? {
    do throws(JSONError) {
        _ = try parse(text, limits: limits)
        return nil
    } catch {
        return error
    }
}

/// The same sequence in every run: a failure found by chance can be repeated.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

enum Fixtures {
    /// The JSON parsing test suite, kept beside the repository.
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().resolvingSymlinksInPath()
        .appending(path: "../../../shared/fixtures/json").standardized

    static let files: [URL] =
        ((try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? [])
        .filter { $0.pathExtension == "json" }
        .sorted { $0.lastPathComponent < $1.lastPathComponent }

    static var exist: Bool { !files.isEmpty }

    static func named(_ prefix: String) throws -> [(name: String, bytes: [UInt8])] {
        try files.filter { $0.lastPathComponent.hasPrefix(prefix) }.map { ($0.lastPathComponent, Array(try Data(contentsOf: $0))) }
    }
}

/// What Foundation reads, next to what the tape says; false where they differ.
func agrees(_ node: JSONNode, _ value: Any) -> Bool {
    switch node.kind {
    case .null: return value is NSNull
    case .bool: return (value as? NSNumber)?.boolValue == node.bool
    case .string: return (value as? String).map { Array($0.utf8) } == node.string.map { Array($0.utf8) }
    case .number:
        guard let number = value as? NSNumber, let double = node.double else { return false }
        if let int = node.int, number.int64Value == Int64(int) { return true }
        return number.doubleValue == double || (number.doubleValue - double).magnitude <= double.magnitude * 1e-15
    case .array:
        guard let array = value as? [Any], array.count == node.count else { return false }
        return zip(node.elements, array).allSatisfy { agrees($0, $1) }
    case .object:
        guard let object = value as? [String: Any], object.count == node.count else { return false }
        return node.members.allSatisfy { key, member in object[key].map { agrees(member, $0) } ?? false }
    }
}
