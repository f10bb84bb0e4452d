// Exceptions as System.Net.Sockets would throw them, in cold methods.
using System.Net.Sockets;

namespace Peregrine.Sockets;

internal static class SocketErrors
{
    internal static void Throw(OperationFault fault, SocketError error, bool io, CancellationToken token) => throw Make(fault, error, io, token);

    internal static Exception Make(OperationFault fault, SocketError error, bool io = false, CancellationToken token = default) => fault switch
    {
        OperationFault.Canceled => new OperationCanceledException(token),
        OperationFault.Disposed => new ObjectDisposedException(null, "The connection or socket has been disposed."),
        _ when io => new IOException($"The connection failed: {error}.", new SocketException((int)error)),
        _ => new SocketException((int)error),
    };

    internal static ValueTask<T> Fail<T>(OperationFault fault, SocketError error, bool io = false) => ValueTask.FromException<T>(Make(fault, error, io));

    internal static void Check(SocketError error)
    {
        if (error != SocketError.Success) throw new SocketException((int)error);
    }
}
