// What can go wrong, with iperf3's numbers (they go over the wire after ServerError) and its words.
using System.Net.Sockets;

namespace Peregrine.Iperf3;

/// <summary>Errors by the numbers of iperf_api.h.</summary>
internal enum Iperf3Error
{
    None = 0,
    ServerAndClient = 1,
    NoRole = 2,
    ServerOnly = 3,
    ClientOnly = 4,
    Duration = 5,
    StreamCount = 6,
    BlockSize = 7,
    BufferSize = 8,
    Interval = 9,
    Mss = 10,
    Omit = 12,
    Unimplemented = 13,
    File = 14,
    Burst = 15,
    EndConditions = 16,
    LogFile = 17,
    UdpBlockSize = 20,
    BadTos = 21,
    ClientAuth = 22,
    ServerAuth = 23,
    BadFormat = 24,
    ReverseAndBidirectional = 25,
    BadPort = 26,
    TotalRate = 27,
    TotalInterval = 28,
    SkewThreshold = 29,
    IdleTimeout = 30,
    ReceiveTimeout = 31,
    ReceiveTimeoutOfSender = 32,
    SendTimeout = 33,
    Listen = 102,
    Connect = 103,
    SendCookie = 105,
    ReceiveCookie = 106,
    ControlWrite = 107,
    ControlRead = 108,
    ControlClosed = 109,
    UnknownMessage = 110,
    SendParameters = 113,
    ReceiveParameters = 114,
    SendResults = 116,
    ReceiveResults = 117,
    ClientTerminated = 119,
    ServerTerminated = 120,
    AccessDenied = 121,
    SetMss = 123,
    SetBuffer = 124,
    Affinity = 132,
    SetCongestion = 134,
    PidFile = 135,
    AuthorizationFailed = 142,
    NoMessage = 144,
    CreateStream = 200,
    StreamConnect = 203,
    StreamAccept = 204,
    StreamWrite = 205,
    StreamRead = 206,
    StreamClosed = 207,

    /// <summary>Of a newer version than the numbers above: --server-max-duration.</summary>
    ServerMaxDuration = 39,
}

/// <summary>A test that cannot go on, or options that cannot be.</summary>
internal sealed class Iperf3Exception(Iperf3Error error, SocketError socketError = SocketError.Success, string? detail = null)
    : Exception(ErrorText.Of(error, socketError, detail))
{
    internal Iperf3Error Error { get; } = error;

    internal SocketError SocketError { get; } = socketError;
}

internal static class ErrorText
{
    /// <summary>Whether the command line is to blame, which is told with other words and the usage.</summary>
    internal static bool IsParameter(Iperf3Error error) => (int)error is > 0 and < 100;

    internal static string Of(Iperf3Error error, SocketError socketError = SocketError.Success, string? detail = null)
    {
        var text = Text(error);
        if (detail != null) return text.EndsWith(": ", StringComparison.Ordinal) ? text + detail : $"{text}: {detail}";
        return text.EndsWith(": ", StringComparison.Ordinal) ? text + System(socketError) : text;
    }

    /// <summary>The system's words for an error, as strerror(3) of a C library has them.</summary>
    internal static string System(SocketError error) => error switch
    {
        SocketError.Success => "",
        SocketError.ConnectionRefused => "Connection refused",
        SocketError.ConnectionReset => "Connection reset by peer",
        SocketError.ConnectionAborted => "Software caused connection abort",
        SocketError.TimedOut => "Connection timed out",
        SocketError.HostUnreachable => "No route to host",
        SocketError.NetworkUnreachable => "Network is unreachable",
        SocketError.AddressNotAvailable => "Cannot assign requested address",
        SocketError.AddressAlreadyInUse => "Address already in use",
        SocketError.AddressFamilyNotSupported => "Address family not supported by protocol",
        SocketError.HostNotFound => "Name or service not known",
        SocketError.MessageSize => "Message too long",
        SocketError.AccessDenied => "Permission denied",
        SocketError.Shutdown => "Broken pipe",
        SocketError.InvalidArgument => "Invalid argument",
        _ => error.ToString(),
    };

    private static string Text(Iperf3Error error) => error switch
    {
        Iperf3Error.ServerAndClient => "cannot be both server and client",
        Iperf3Error.NoRole => "must either be a client (-c) or server (-s)",
        Iperf3Error.ServerOnly => "some option you are trying to set is server only",
        Iperf3Error.ClientOnly => "some option you are trying to set is client only",
        Iperf3Error.Duration => "test duration too long (maximum = 86400 seconds)",
        Iperf3Error.StreamCount => "number of parallel streams too large (maximum = 128)",
        Iperf3Error.BlockSize => "block size too large (maximum = 1048576 bytes)",
        Iperf3Error.BufferSize => "socket buffer size too large (maximum = 536870912 bytes)",
        Iperf3Error.Interval => "invalid report interval (min = 0.1, max = 60 seconds)",
        Iperf3Error.Mss => "TCP MSS too large (maximum = 9216 bytes)",
        Iperf3Error.Omit => "bogus value for --omit",
        Iperf3Error.Unimplemented => "an option you are trying to set is not implemented yet",
        Iperf3Error.File => "unable to open -F file: ",
        Iperf3Error.Burst => "invalid burst count (maximum = 1000)",
        Iperf3Error.EndConditions => "only one test end condition (-t, -n, -k) may be specified",
        Iperf3Error.LogFile => "unable to open log file: ",
        Iperf3Error.UdpBlockSize => "block size invalid (minimum = 16 bytes, maximum = 65507 bytes)",
        Iperf3Error.BadTos => "bad TOS value (must be between 0 and 255 inclusive)",
        Iperf3Error.ClientAuth => "you must specify a username, password, and path to a valid RSA public key",
        Iperf3Error.ServerAuth => "you must specify a path to a valid RSA private key and a user credential file",
        Iperf3Error.BadFormat => "bad format specifier (valid formats are in the set [kmgtKMGT])",
        Iperf3Error.ReverseAndBidirectional => "cannot be both reverse and bidirectional",
        Iperf3Error.BadPort => "port number must be between 1 and 65535 inclusive",
        Iperf3Error.TotalRate => "total required bandwidth is larger than server limit",
        Iperf3Error.TotalInterval => "invalid time interval for calculating average data rate (min = 1, max = 60 seconds)",
        Iperf3Error.SkewThreshold => "skew threshold must be a positive number",
        Iperf3Error.IdleTimeout => "idle timeout parameter is not positive or larger than allowed limit",
        Iperf3Error.ReceiveTimeout => "receive timeout value is incorrect or not in range: ",
        Iperf3Error.ReceiveTimeoutOfSender => "client receive timeout is valid only in receiving mode: ",
        Iperf3Error.SendTimeout => "send timeout value is incorrect or not in range",
        Iperf3Error.ServerMaxDuration => "client's requested duration exceeds the server's maximum permitted limit",
        _ => TestText(error),
    };

    private static string TestText(Iperf3Error error) => error switch
    {
        Iperf3Error.Listen => "unable to start listener for connections: ",
        Iperf3Error.Connect => "unable to connect to server: ",
        Iperf3Error.SendCookie => "unable to send cookie to server: ",
        Iperf3Error.ReceiveCookie => "unable to receive cookie at server: ",
        Iperf3Error.ControlWrite => "unable to write to the control socket: ",
        Iperf3Error.ControlRead => "unable to read from the control socket: ",
        Iperf3Error.ControlClosed => "control socket has closed unexpectedly",
        Iperf3Error.UnknownMessage => "received an unknown control message",
        Iperf3Error.SendParameters => "unable to send parameters to server: ",
        Iperf3Error.ReceiveParameters => "unable to receive parameters from client: ",
        Iperf3Error.SendResults => "unable to send results: ",
        Iperf3Error.ReceiveResults => "unable to receive results: ",
        Iperf3Error.ClientTerminated => "the client has terminated",
        Iperf3Error.ServerTerminated => "the server has terminated",
        Iperf3Error.AccessDenied => "the server is busy running a test. try again later",
        Iperf3Error.SetMss => "unable to set TCP/SCTP MSS: ",
        Iperf3Error.SetBuffer => "unable to set socket buffer size: ",
        Iperf3Error.Affinity => "unable to set CPU affinity: ",
        Iperf3Error.SetCongestion => "unable to set TCP_CONGESTION: ",
        Iperf3Error.PidFile => "unable to write PID file: ",
        Iperf3Error.AuthorizationFailed => "test authorization failed",
        Iperf3Error.NoMessage => "idle timeout for receiving data",
        Iperf3Error.CreateStream => "unable to create a new stream: ",
        Iperf3Error.StreamConnect => "unable to connect stream: ",
        Iperf3Error.StreamAccept => "unable to accept stream connection: ",
        Iperf3Error.StreamWrite => "unable to write to stream socket: ",
        Iperf3Error.StreamRead => "unable to read from stream socket: ",
        Iperf3Error.StreamClosed => "stream socket has closed unexpectedly",
        _ => $"int_errno={(int)error}",
    };
}
