// What a call returns: a value, or an error by its POSIX name, or that it would block. The numbers of errors differ between systems and
// are left to the edge that needs them.
using System.Net.Sockets;

namespace Peregrine.Posix;

/// <summary>The outcome of a call.</summary>
/// <param name="Value">What it returns; -1 with an error.</param>
/// <param name="Errno">The error's name, or null.</param>
/// <param name="Blocks">The call has to wait: ask again after the stack's next turn.</param>
internal readonly record struct PosixResult(long Value, string? Errno = null, bool Blocks = false)
{
    internal static PosixResult Success => new(0);

    internal static PosixResult Waits => new(-1, null, true);

    internal static PosixResult Fail(string errno) => new(-1, errno);

    internal static PosixResult Of(SocketError error) => error == SocketError.Success ? Success : Fail(NameOf(error));

    /// <summary>The POSIX name of a socket error.</summary>
    internal static string NameOf(SocketError error) => error switch
    {
        SocketError.AddressAlreadyInUse => "EADDRINUSE",
        SocketError.AddressNotAvailable => "EADDRNOTAVAIL",
        SocketError.AddressFamilyNotSupported => "EAFNOSUPPORT",
        SocketError.AccessDenied => "EACCES",
        SocketError.ConnectionAborted => "ECONNABORTED",
        SocketError.ConnectionRefused => "ECONNREFUSED",
        SocketError.ConnectionReset => "ECONNRESET",
        SocketError.HostDown => "EHOSTDOWN",
        SocketError.HostUnreachable => "EHOSTUNREACH",
        SocketError.InvalidArgument => "EINVAL",
        SocketError.IsConnected => "EISCONN",
        SocketError.MessageSize => "EMSGSIZE",
        SocketError.NetworkUnreachable => "ENETUNREACH",
        SocketError.NetworkDown => "ENETDOWN",
        SocketError.NoBufferSpaceAvailable => "ENOBUFS",
        SocketError.NotConnected => "ENOTCONN",
        SocketError.NotSocket => "ENOTSOCK",
        SocketError.OperationNotSupported => "EOPNOTSUPP",
        SocketError.ProtocolNotSupported => "EPROTONOSUPPORT",
        SocketError.ProtocolOption => "ENOPROTOOPT",
        SocketError.Shutdown => "EPIPE",
        SocketError.TimedOut => "ETIMEDOUT",
        SocketError.TooManyOpenSockets => "EMFILE",
        SocketError.WouldBlock => "EAGAIN",
        _ => "EIO",
    };
}
