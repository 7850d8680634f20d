import CLinux
import Cryptography
public import JSON

/// Values that must not be seen, and the forms in which a tool may give them back: as they are, escaped in JSON, percent-encoded, in
/// base64 (also within a longer text, as in `Authorization: Basic`) and in hex.
public struct SecretValues: Sendable {
    private struct Needle: Sendable {
        let bytes: [UInt8]
        let replacement: [UInt8]
    }

    private let needles: [Needle]

    public static let none = SecretValues([])

    public init(_ secrets: [Secret]) {
        var needles: [Needle] = []
        for secret in secrets where !secret.value.isEmpty {
            let replacement = Array("[secret \(secret.name)]".utf8)
            for form in Set(Self.forms(Array(secret.value.utf8))) where form.count >= min(Limits.minSecretBytes, secret.value.utf8.count) {
                needles.append(Needle(bytes: form, replacement: replacement))
            }
        }
        // A form that contains another is cut first, or its rest would stay.
        self.needles = needles.sorted { $0.bytes.count > $1.bytes.count }
    }

    public var isEmpty: Bool { needles.isEmpty }

    public func occur(in text: String) -> Bool { occur(in: Array(text.utf8)) }

    public func occur(in bytes: [UInt8]) -> Bool { needles.contains { Self.find($0.bytes, in: bytes, from: 0) != nil } }

    public func cut(from text: String) -> String {
        let bytes = Array(text.utf8)
        return occur(in: bytes) ? String(decoding: cut(from: bytes), as: UTF8.self) : text
    }

    /// Every place is found in the bytes as they came, and what is put there is not looked at again: otherwise a secret's name could hold
    /// another's value, and a short text grow without bound. Places that overlap are one.
    public func cut(from bytes: [UInt8]) -> [UInt8] {
        var places: [(range: Range<Int>, needle: Int)] = []
        for (index, needle) in needles.enumerated() {
            var start = 0
            while let hit = Self.find(needle.bytes, in: bytes, from: start) {
                start = hit + needle.bytes.count
                places.append((hit..<start, index))
            }
        }
        guard !places.isEmpty else { return bytes }
        places.sort { ($0.range.lowerBound, $0.needle) < ($1.range.lowerBound, $1.needle) }
        var result: [UInt8] = []
        var start = 0
        var index = 0
        while index < places.count {
            let first = places[index]
            var end = first.range.upperBound
            while index < places.count, places[index].range.lowerBound < end {
                end = max(end, places[index].range.upperBound)
                index += 1
            }
            result += bytes[start..<first.range.lowerBound]
            result += needles[first.needle].replacement
            start = end
        }
        return result + bytes[start...]
    }

    /// Without them; of a text that ends where it was shortened, also without what may be the beginning of one at its end.
    public func cut(from bytes: [UInt8], isShortened: Bool) -> [UInt8] {
        guard isShortened, !isEmpty else { return isEmpty ? bytes : cut(from: bytes) }
        let whole = cut(from: bytes)
        return Array(whole.dropLast(needles.reduce(0) { max($0, Self.begun($1.bytes, atEndOf: whole)) }))
    }

    /// Without them, of an answer that will be shown: JSON as JSON; of what does not parse, or was shortened, as text in which JSON's escapes
    /// are resolved, if one of them stands there only so.
    public func cut(fromAnswer bytes: [UInt8], isShortened: Bool) -> [UInt8] {
        guard !isEmpty, !bytes.isEmpty else { return bytes }
        if !isShortened, let json = try? RawJSON(validating: bytes, limits: JSONLimits(maxBytes: bytes.count)) {
            return cut(from: json).bytes
        }
        let plain = cut(from: bytes, isShortened: isShortened)
        guard bytes.contains(UInt8(ascii: "\\")) else { return plain }
        let resolved = JSONEscapes.resolved(plain, isShortened: isShortened)
        let cut = cut(from: resolved, isShortened: isShortened)
        return cut == resolved ? plain : cut
    }

    /// How many bytes at the end are the beginning of the needle (Knuth, Morris and Pratt: in linear time).
    private static func begun(_ needle: [UInt8], atEndOf bytes: [UInt8]) -> Int {
        var borders = [Int](repeating: 0, count: needle.count)
        var length = 0
        for index in needle.indices.dropFirst() {
            while length > 0, needle[index] != needle[length] { length = borders[length - 1] }
            if needle[index] == needle[length] { length += 1 }
            borders[index] = length
        }
        var state = 0
        // One byte less than the needle has: a whole one was cut before.
        for byte in bytes.suffix(needle.count - 1) {
            while state > 0, byte != needle[state] { state = borders[state - 1] }
            if byte == needle[state] { state += 1 }
        }
        return state
    }

    /// The same JSON without them; where one stands as a number or across an escape, too. What does not parse becomes a string.
    public func cut(from json: RawJSON) -> RawJSON {
        // Without escapes and without a hit, which is nearly always, nothing is parsed.
        guard !isEmpty, json.bytes.contains(UInt8(ascii: "\\")) || occur(in: json.bytes) else { return json }
        guard let document = try? json.document() else {
            var writer = JSONWriter()
            writer.string(cut(from: json.string))
            return RawJSON(trusted: writer.bytes)
        }
        var writer = JSONWriter(capacity: json.bytes.count)
        write(document.root, to: &writer)
        return RawJSON(trusted: writer.bytes)
    }

    public func cut(from outcome: ToolOutcome) -> ToolOutcome {
        switch outcome {
        case .result(let json, let source): .result(cut(from: json), source: source)
        case .failed(let error, let source):
            .failed(ToolError(code: cut(from: error.code), message: cut(from: error.message)), source: source)
        case .expired, .denied, .canceled: outcome
        }
    }

    private func write(_ node: JSONNode, to writer: inout JSONWriter) {
        switch node.kind {
        case .object:
            writer.beginObject()
            for (key, value) in node.members {
                writer.key(cut(from: key))
                write(value, to: &writer)
            }
            writer.endObject()
        case .array:
            writer.beginArray()
            for element in node.elements { write(element, to: &writer) }
            writer.endArray()
        case .string: writer.string(cut(from: node.string ?? ""))
        default:
            let text = String(decoding: node.raw, as: UTF8.self)
            if occur(in: text) { writer.string(cut(from: text)) } else { writer.raw(bytes: node.raw) }
        }
    }

    // MARK: Forms

    private static func forms(_ value: [UInt8]) -> [[UInt8]] {
        var forms = [value, Array(Hex.encode(value).utf8), Array(Hex.encode(value).uppercased().utf8)]
        var escaped: [UInt8] = []
        JSONWriter.appendEscaped(String(decoding: value, as: UTF8.self), into: &escaped)
        let inner = escaped.dropFirst().dropLast()
        forms.append(Array(inner))
        // Some writers escape the solidus (RFC 8259 §7).
        forms.append(inner.flatMap { $0 == UInt8(ascii: "/") ? [UInt8(ascii: "\\"), $0] : [$0] })
        for isUpper in [true, false] {
            forms.append(PercentEncoding.encode(value, isUpper: isUpper))
            forms.append(PercentEncoding.encode(value, isUpper: isUpper, spaceAsPlus: true))
        }
        return forms + base64Forms(value)
    }

    /// Base64 takes three bytes at a time, so a value within a longer text has three forms; the characters that it shares with
    /// its neighbours are left out.
    private static func base64Forms(_ value: [UInt8]) -> [[UInt8]] {
        (0..<3).flatMap { lead -> [[UInt8]] in
            let padded = [UInt8](repeating: 0, count: lead) + value
            let text = Array(Base64URL.encode(padded).utf8)
            let first = (lead * 8 + 5) / 6
            let core = Array(text[min(first, text.count)..<max(min(first, text.count), padded.count * 8 / 6)])
            let standard = core.map { $0 == UInt8(ascii: "-") ? UInt8(ascii: "+") : $0 == UInt8(ascii: "_") ? UInt8(ascii: "/") : $0 }
            return [core, standard]
        }
    }

    /// In linear time, whatever a tenant has made of both.
    private static func find(_ needle: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        guard !needle.isEmpty, bytes.count - start >= needle.count else { return nil }
        return bytes.withUnsafeBufferPointer { hay -> Int? in
            guard let base = hay.baseAddress else { return nil }
            let place = clinux_find(base + start, Int64(bytes.count - start), needle, Int64(needle.count))
            return place < 0 ? nil : start + Int(place)
        }
    }
}

/// RFC 3986 §2.1.
public enum PercentEncoding {
    /// All but the unreserved characters, so that nothing of it means anything in a path, a query or a form.
    public static func encode(_ bytes: some Sequence<UInt8>, isUpper: Bool = true, spaceAsPlus: Bool = false) -> [UInt8] {
        let digits = Array((isUpper ? "0123456789ABCDEF" : "0123456789abcdef").utf8)
        var encoded: [UInt8] = []
        for byte in bytes {
            if Names.isAlphanumeric(byte) || "-._~".utf8.contains(byte) {
                encoded.append(byte)
            } else if spaceAsPlus, byte == 0x20 {
                encoded.append(UInt8(ascii: "+"))
            } else {
                encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return encoded
    }

    public static func encode(_ text: String) -> String { String(decoding: encode(text.utf8), as: UTF8.self) }
}
