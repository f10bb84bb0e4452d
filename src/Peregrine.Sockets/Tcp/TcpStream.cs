// A connection as a Stream: errors are IOException with the SocketException inside, as NetworkStream has it. Asynchronous calls go
// straight to the connection; synchronous ones block, which only a thread that is not the core's may do.
using System.Net.Sockets;

namespace Peregrine.Sockets;

/// <summary>The stream of a <see cref="TcpConnection"/>. One read and one write may be pending at a time.</summary>
public sealed class TcpStream : Stream
{
    private const string NoSeek = "A connection has no length and no position.";

    private readonly TcpConnection _connection;
    private int _readTimeoutMs = Timeout.Infinite;
    private int _writeTimeoutMs = Timeout.Infinite;

    internal TcpStream(TcpConnection connection) => _connection = connection;

    /// <summary>The connection beneath.</summary>
    public TcpConnection Connection => _connection;

    /// <inheritdoc/>
    public override bool CanRead => !_connection.IsDisposed;

    /// <inheritdoc/>
    public override bool CanWrite => !_connection.IsDisposed;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <summary>True: synchronous reads and writes can time out.</summary>
    public override bool CanTimeout => true;

    /// <summary>Longest wait of a synchronous read, in milliseconds, 1 or more, or <see cref="Timeout.Infinite"/>.</summary>
    public override int ReadTimeout
    {
        get => _readTimeoutMs;
        set => _readTimeoutMs = Checked(value, nameof(ReadTimeout));
    }

    /// <summary>Longest wait of a synchronous write, in milliseconds, 1 or more, or <see cref="Timeout.Infinite"/>.</summary>
    public override int WriteTimeout
    {
        get => _writeTimeoutMs;
        set => _writeTimeoutMs = Checked(value, nameof(WriteTimeout));
    }

    /// <summary>Not supported.</summary>
    public override long Length => throw new NotSupportedException(NoSeek);

    /// <summary>Not supported.</summary>
    public override long Position
    {
        get => throw new NotSupportedException(NoSeek);
        set => throw new NotSupportedException(NoSeek);
    }

    /// <inheritdoc/>
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        _connection.ReceiveAsync(buffer, throwsIO: true, cancellationToken);

    /// <inheritdoc/>
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(Slice(buffer, offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(_connection.IsDisposed, this);
        if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled(cancellationToken);
        var taken = 0;
        if (_connection.Engine.IsCurrent && !_connection.IsSending && _connection.TrySend(buffer.Span, out taken, out var fault, out var error))
            return fault == OperationFault.None ? ValueTask.CompletedTask : ValueTask.FromException(SocketErrors.Make(fault, error, io: true));
        return _connection.StartSend(buffer, taken, throwsIO: true, cancellationToken).AsUntypedValueTask();
    }

    /// <inheritdoc/>
    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(Slice(buffer, offset, count), cancellationToken).AsTask();

    /// <summary>Does nothing: written bytes are in the send buffer already.</summary>
    public override void Flush()
    {
    }

    /// <inheritdoc cref="Flush"/>
    public override Task FlushAsync(CancellationToken cancellationToken) =>
        cancellationToken.IsCancellationRequested ? Task.FromCanceled(cancellationToken) : Task.CompletedTask;

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => ReadSlice(Slice(buffer, offset, count));

    /// <inheritdoc/>
    public override int Read(Span<byte> buffer)
    {
        var copy = new byte[buffer.Length];
        var n = ReadSlice(copy);
        copy.AsSpan(0, n).CopyTo(buffer);
        return n;
    }

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => WriteSlice(Slice(buffer, offset, count));

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<byte> buffer) => WriteSlice(buffer.ToArray());

    /// <inheritdoc/>
    public override IAsyncResult BeginRead(byte[] buffer, int offset, int count, AsyncCallback? callback, object? state) =>
        TaskToAsyncResult.Begin(ReadAsync(buffer, offset, count, CancellationToken.None), callback, state);

    /// <inheritdoc/>
    public override int EndRead(IAsyncResult asyncResult) => TaskToAsyncResult.End<int>(asyncResult);

    /// <inheritdoc/>
    public override IAsyncResult BeginWrite(byte[] buffer, int offset, int count, AsyncCallback? callback, object? state) =>
        TaskToAsyncResult.Begin(WriteAsync(buffer, offset, count, CancellationToken.None), callback, state);

    /// <inheritdoc/>
    public override void EndWrite(IAsyncResult asyncResult) => TaskToAsyncResult.End(asyncResult);

    /// <summary>Not supported.</summary>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException(NoSeek);

    /// <summary>Not supported.</summary>
    public override void SetLength(long value) => throw new NotSupportedException(NoSeek);

    /// <inheritdoc/>
    public override ValueTask DisposeAsync()
    {
        Dispose();
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _connection.Dispose();
        base.Dispose(disposing);
    }

    private static Memory<byte> Slice(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        return buffer.AsMemory(offset, count);
    }

    private static int Checked(int value, string name) => value is > 0 or Timeout.Infinite
        ? value
        : throw new ArgumentOutOfRangeException(name, value, $"{name} is {value} ms; it must be 1 or more, or Timeout.Infinite.");

    private int ReadSlice(Memory<byte> buffer)
    {
        using var cancel = new CancellationTokenSource();
        return Wait(ReadAsync(buffer, cancel.Token), _readTimeoutMs, cancel);
    }

    private void WriteSlice(ReadOnlyMemory<byte> buffer)
    {
        if (!_connection.Engine.IsCurrent)
        {
            using var cancel = new CancellationTokenSource();
            Wait(_connection.StartSend(buffer, 0, throwsIO: true, cancel.Token).AsValueTask(), _writeTimeoutMs, cancel);
            return;
        }
        if (_connection.IsSending || !_connection.TrySend(buffer.Span, out _, out var fault, out var error)) throw Blocked();
        if (fault != OperationFault.None) throw SocketErrors.Make(fault, error, io: true);
    }

    private int Wait(ValueTask<int> operation, int timeoutMs, CancellationTokenSource cancel)
    {
        if (operation.IsCompleted) return operation.GetAwaiter().GetResult();
        var task = operation.AsTask();
        if (_connection.Engine.IsCurrent)
        {
            // Nobody would ever complete it: the thread that does is the one that would wait.
            cancel.Cancel();
            _ = task.ContinueWith(static t => t.Exception, TaskScheduler.Default);
            throw Blocked();
        }
        if (((IAsyncResult)task).AsyncWaitHandle.WaitOne(timeoutMs)) return task.GetAwaiter().GetResult();
        cancel.Cancel();
        try
        {
            return task.GetAwaiter().GetResult();
        }
        catch (OperationCanceledException)
        {
            throw new IOException($"The operation did not complete within {timeoutMs} ms.", new SocketException((int)SocketError.TimedOut));
        }
    }

    private static InvalidOperationException Blocked() => new(
        "A synchronous read or write would have to wait on the core's own thread, which would wait for itself for ever. " +
        "Use ReadAsync and WriteAsync, or set CompletionMode.ThreadPool for code that blocks.");
}
