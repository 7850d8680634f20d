/// Where a text stopped being JSON: found on the tape as far as it was written, and only once a text is refused.
extension JSONParser {
    /// RFC 6901: the innermost value under way; of a repeated key, the member that it names again. Each sibling on the way is looked at
    /// once, so this costs no more than the reading did.
    func pointer(of error: JSONError) -> String {
        guard entryCount > 0, entries[0].isOpen else { return "" }
        var pointer = JSONPointerText()
        var container = 0
        while let child = child(of: container) {
            guard pointer.append(child.step) else { return pointer.text }
            guard child.isOpen else { return pointer.text }
            container = child.index
        }
        if case .duplicateKey(let key) = error.reason { _ = pointer.append(.key(key)) }
        return pointer.text
    }

    /// What of an open container is under way: an open container in it, or a value that has only begun. nil between two members.
    private func child(of container: Int) -> (step: JSONPointerText.Step, index: Int, isOpen: Bool)? {
        let isObject = entries[container].isObject
        var index = container &+ 1
        var position = 0
        while index < entryCount {
            let value = isObject ? index &+ 1 : index
            let isBegun = value >= entryCount
            if isBegun || entries[value].isOpen {
                let step: JSONPointerText.Step = isObject ? .key(JSONKeyView(base, entries[index]).string) : .position(position)
                return (step, value, !isBegun)
            }
            index = Int(entries[value].next)
            position &+= 1
        }
        // An array counts an element before it is read.
        return !isObject && entries[container].count > position ? (.position(position), index, false) : nil
    }
}

/// A pointer that grows step by step and stays short: the keys are the sender's, and nobody is to be told a megabyte of them.
struct JSONPointerText {
    enum Step {
        case key(String)
        case position(Int)
    }

    private(set) var text = ""

    /// False where the step does not fit any more: what stands here still leads to a container around the place.
    mutating func append(_ step: Step) -> Bool {
        let token =
            switch step {
            case .key(let key) where key.utf8.count > JSONError.maxPointerBytes: Optional<String>.none
            case .key(let key): Self.escaped(key)
            case .position(let position): String(position)
            }
        guard let token, text.utf8.count + token.utf8.count < JSONError.maxPointerBytes else { return false }
        text += "/" + token
        return true
    }

    /// RFC 6901: `~` is written `~0`, `/` is written `~1`.
    static func escaped(_ key: String) -> String {
        guard key.utf8.contains(where: { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") }) else { return key }
        var escaped = ""
        for character in key.unicodeScalars {
            switch character {
            case "~": escaped += "~0"
            case "/": escaped += "~1"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }
}
