public import JSON

/// The limits in which one tenant differs from the configuration; what is not here is the default.
public struct TenantLimitOverrides: Sendable, Hashable {
    public private(set) var values: [LimitField: Int]

    public init(_ values: [LimitField: Int] = [:]) { self.values = values }

    /// What the database holds. Fields of a later version, and values out of range, are passed over: a limit that cannot be read
    /// must not lock its tenant out.
    public init(stored json: RawJSON) {
        values = [:]
        guard let root = (try? json.document())?.root else { return }
        for field in LimitField.allCases {
            if let value = root[field.rawValue]?.int, field.range.contains(value) { values[field] = value }
        }
    }

    /// `{"requestsPerSecond": 50, …}`, one line.
    public var json: RawJSON {
        RawJSON.object { writer in
            for field in LimitField.allCases { if let value = values[field] { writer.field(field.rawValue, int: value) } }
        }
    }
}

/// A change of overrides, as an admin sends it: a number sets, null goes back to the default, what is absent stays.
public struct TenantLimitPatch: Sendable, Hashable {
    /// `.some(nil)` takes the override away.
    public private(set) var changes: [LimitField: Int?]

    public init(_ changes: [LimitField: Int?]) { self.changes = changes }

    /// Strict: unknown fields and values out of range are refused with their pointer.
    public init(reading node: JSONNode, at pointer: String = "") throws(JSONViolation) {
        var reader = try JSONObjectReader(node, at: pointer)
        changes = [:]
        for field in LimitField.allCases {
            let value = try reader.optionalInt(field.rawValue, in: field.range)
            if reader.has(field.rawValue) { changes[field] = .some(value) }
        }
        try reader.finish()
    }

    public var isEmpty: Bool { changes.isEmpty }

    public var json: RawJSON {
        RawJSON.object { writer in
            for field in LimitField.allCases {
                guard let change = changes[field] else { continue }
                writer.key(field.rawValue)
                if let change { writer.int(change) } else { writer.null() }
            }
        }
    }
}
