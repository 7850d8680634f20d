extension ModelError.Code {
    /// The cause may pass by itself, so the same call may succeed later.
    var mayPass: Bool {
        switch self {
        case .rateLimited, .overloaded, .unreachable, .timeout, .interrupted: true
        case .unauthorized, .forbidden, .quotaExceeded, .badRequest, .malformedResponse, .contentFiltered, .scripted: false
        }
    }
}
