extension ComputeCall {
    func texts() throws(ComputeError) -> ComputeValue {
        switch function {
        case .upper: return .string(try string(0).uppercased())
        case .lower: return .string(try string(0).lowercased())
        case .trim: return .string(Self.trimmed(try string(0)))
        case .startsWith: return .bool(try string(0).utf8.starts(with: try string(1).utf8))
        case .endsWith: return .bool(try string(0).utf8.reversed().starts(with: try string(1).utf8.reversed()))
        case .replace: return .string(try replaced())
        case .split: return .list(try split())
        case .repeat: return .string(try repeated())
        default: return .string(try joined())
        }
    }

    private static func trimmed(_ text: String) -> String {
        let isSpace = { (scalar: Unicode.Scalar) in scalar.properties.isWhitespace }
        var scalars = text.unicodeScalars[...]
        while let first = scalars.first, isSpace(first) { scalars.removeFirst() }
        while let last = scalars.last, isSpace(last) { scalars.removeLast() }
        return String(Substring(scalars))
    }

    /// Each place of `needle`, which is not empty, in `bytes`, from the left, none over another. Knuth, Morris and Pratt: linear, as
    /// arguments choose both texts.
    private static func places(of needle: [UInt8], in bytes: [UInt8]) -> [Int] {
        guard needle.count <= bytes.count else { return [] }
        var borders = [Int](repeating: 0, count: needle.count)
        var length = 0
        for index in needle.indices.dropFirst() {
            while length > 0, needle[index] != needle[length] { length = borders[length - 1] }
            if needle[index] == needle[length] { length += 1 }
            borders[index] = length
        }
        var places: [Int] = []
        var matched = 0
        for index in bytes.indices {
            while matched > 0, bytes[index] != needle[matched] { matched = borders[matched - 1] }
            if bytes[index] == needle[matched] { matched += 1 }
            if matched == needle.count {
                places.append(index + 1 - matched)
                matched = 0
            }
        }
        return places
    }

    private func pieces(of text: String, at separator: String) throws(ComputeError) -> [String] {
        guard !separator.isEmpty else { throw fail("needs a text that is not empty") }
        let (bytes, needle) = (Array(text.utf8), Array(separator.utf8))
        var pieces: [String] = []
        var start = 0
        for place in Self.places(of: needle, in: bytes) {
            pieces.append(String(decoding: bytes[start..<place], as: UTF8.self))
            start = place + needle.count
        }
        return pieces + [String(decoding: bytes[start...], as: UTF8.self)]
    }

    private func replaced() throws(ComputeError) -> String {
        let pieces = try pieces(of: string(0), at: string(1))
        let replacement = try string(2)
        let size = pieces.reduce(replacement.utf8.count * (pieces.count - 1)) { $0 + $1.utf8.count }
        guard size <= Limits.maxExpressionValueBytes else { throw fail("the text is too large") }
        return pieces.joined(separator: replacement)
    }

    private func split() throws(ComputeError) -> [ComputeValue] { try pieces(of: string(0), at: string(1)).map { .string($0) } }

    private func repeated() throws(ComputeError) -> String {
        let (text, count) = (try string(0), try number(1))
        guard count == count.rounded(), count >= 0 else { throw fail("takes a whole number of times") }
        guard count * Double(text.utf8.count) <= Double(Limits.maxExpressionValueBytes), count <= 1_000_000 else {
            throw fail("the text is too large")
        }
        return String(repeating: text, count: Int(count))
    }

    private func joined() throws(ComputeError) -> String {
        let separator = try string(1)
        var parts: [String] = []
        var size = 0
        for value in try list(0) {
            let text: String
            switch value {
            case .string(let string): text = string
            case .number(let number): text = ComputeValue.text(number)
            case .bool(let bool): text = bool ? "true" : "false"
            case .null: text = ""
            default: throw fail("takes a list of texts, numbers and booleans, not of a \(value.typeName)")
            }
            parts.append(text)
            size += text.utf8.count + separator.utf8.count
            guard size <= Limits.maxExpressionValueBytes else { throw fail("the text is too large") }
        }
        return parts.joined(separator: separator)
    }

    // MARK: Lists

    func lists() throws(ComputeError) -> ComputeValue {
        switch function {
        case .length: return .number(Double(try length()))
        case .contains: return .bool(try contains())
        case .indexOf: return .number(try place())
        case .slice: return try sliced()
        case .first: return try list(0).first ?? .null
        case .last: return try list(0).last ?? .null
        case .sort: return .list(try sorted())
        case .reverse: return .list(try list(0).reversed())
        case .unique:
            var seen: Set<ComputeValue> = []
            return .list(try list(0).filter { seen.insert($0).inserted })
        case .concat:
            var all: [ComputeValue] = []
            for index in values.indices { all += try list(index) }
            return .list(all)
        case .keys: return .list(try members(0).keys.sorted().map { .string($0) })
        case .values: return .list(try members(0).sorted { $0.key < $1.key }.map(\.value))
        case .has: return .bool(try members(0)[string(1)] != nil)
        default: return .list(try plucked())
        }
    }

    private func members(_ index: Int) throws(ComputeError) -> [String: ComputeValue] {
        guard case .object(let members) = values[index] else { throw fail("takes an object, not a \(values[index].typeName)") }
        return members
    }

    private func length() throws(ComputeError) -> Int {
        switch values[0] {
        case .string(let text): text.unicodeScalars.count
        case .list(let list): list.count
        case .object(let members): members.count
        default: throw fail("a \(values[0].typeName) has none")
        }
    }

    private func contains() throws(ComputeError) -> Bool {
        if case .list(let list) = values[0] { return list.contains(values[1]) }
        let (text, part) = (try string(0), try string(1))
        return part.isEmpty || !Self.places(of: Array(part.utf8), in: Array(text.utf8)).isEmpty
    }

    /// -1: nowhere.
    private func place() throws(ComputeError) -> Double {
        if case .list(let list) = values[0] { return list.firstIndex(of: values[1]).map { Double($0) } ?? -1 }
        let bytes = Array(try string(0).utf8)
        let part = Array(try string(1).utf8)
        guard !part.isEmpty else { return 0 }
        guard let place = Self.places(of: part, in: bytes).first else { return -1 }
        return Double(String(decoding: bytes[..<place], as: UTF8.self).unicodeScalars.count)
    }

    private func sliced() throws(ComputeError) -> ComputeValue {
        func bound(_ index: Int, _ count: Int) throws(ComputeError) -> Int {
            guard values.count > index else { return count }
            let place = try number(index)
            guard place == place.rounded(), Swift.abs(place) < 1e9 else { throw fail("takes whole places") }
            let from = place < 0 ? count + Int(place) : Int(place)
            return Swift.min(Swift.max(from, 0), count)
        }
        if case .list(let list) = values[0] {
            let (start, end) = (try bound(1, list.count), try bound(2, list.count))
            return .list(start < end ? Array(list[start..<end]) : [])
        }
        let scalars = Array(try string(0).unicodeScalars)
        let (start, end) = (try bound(1, scalars.count), try bound(2, scalars.count))
        var view = String.UnicodeScalarView()
        if start < end { view.append(contentsOf: scalars[start..<end]) }
        return .string(String(view))
    }

    private func sorted() throws(ComputeError) -> [ComputeValue] {
        let list = try list(0)
        for value in list {
            guard ComputeFunction.order(list[0], value) != nil else { throw fail("takes a list of numbers alone, or of texts alone") }
        }
        return list.sorted { ComputeFunction.order($0, $1) == -1 }
    }

    private func plucked() throws(ComputeError) -> [ComputeValue] {
        let name = try string(1)
        var found: [ComputeValue] = []
        for value in try list(0) {
            guard case .object(let members) = value else { throw fail("takes a list of objects, not of a \(value.typeName)") }
            found.append(members[name] ?? .null)
        }
        return found
    }
}
