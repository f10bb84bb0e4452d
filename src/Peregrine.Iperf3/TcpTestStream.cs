// A stream over TCP: received bytes are counted in the ring where they lie, sent ones are copied from one block into the ring. No buffer
// of its own and nothing allocated, so that what is measured is the stack.
using System.Net;
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Sockets;

namespace Peregrine.Iperf3;

internal sealed class TcpTestStream : TestStream, ITcpHandler
{
    private readonly TcpConnection _connection;
    private byte[] _block = [];
    private int _blockLength;
    private int _offset;
    private bool _isClosed;

    internal TcpTestStream(Iperf3Test test, int id, bool isSender, TcpConnection connection)
        : base(test, id, isSender)
    {
        _connection = connection;
        Local = connection.LocalEndPoint ?? new IPEndPoint(IPAddress.Any, 0);
        Remote = connection.RemoteEndPoint ?? new IPEndPoint(IPAddress.Any, 0);
    }

    internal override IPEndPoint Local { get; }

    internal override IPEndPoint Remote { get; }

    /// <summary>Whether the peer has acknowledged everything.</summary>
    internal bool IsDrained => _isClosed || !TryGetTcp(out var info) || (info.UnsentBytes == 0 && info.FlightSize == 0);

    internal override void Start()
    {
        _block = Test.Payload;
        _connection.SetHandler(this);
    }

    internal override void Pump()
    {
        if (!IsSender || _isClosed) return;
        while (true)
        {
            if (_offset == _blockLength)
            {
                // A client finishes the block that it began, after the test's end too: iperf3 reads whole blocks and would wait for the rest.
                if (Test.HasEnded || !Test.MayBegin(this)) return;
                (_offset, _blockLength) = (0, Test.FillBlock(ref _block));
                if (_blockLength == 0) return;
            }
            var taken = _connection.TrySend(_block.AsSpan(_offset, _blockLength - _offset));
            if (taken < 0) return;
            _offset += taken;
            Bytes += taken;
            if (_offset < _blockLength) return;
            Blocks++;
        }
    }

    public override void Dispose()
    {
        _isClosed = true;
        _connection.SetHandler(null);
        // What is still unread would make a graceful close a reset; at a test's end nobody wants either side's rest.
        _connection.Dispose();
    }

    void ITcpHandler.OnReceived(TcpConnection connection, ReadOnlySpan<byte> bytes)
    {
        if (IsSender || Test.HasEnded) return;
        Bytes += bytes.Length;
        Blocks = Bytes / Test.Parameters.Length;
        LastReceived = connection.Engine.Now;
        Test.OnReceived(bytes);
    }

    void ITcpHandler.OnWritable(TcpConnection connection) => Pump();

    // The peer says when the test ends over the control connection; a stream that it closes early just brings nothing more.
    void ITcpHandler.OnPeerClosed(TcpConnection connection)
    {
    }

    void ITcpHandler.OnClosed(TcpConnection connection, SocketError error)
    {
        _isClosed = true;
        if (error != SocketError.Success && Test.IsRunning) Fail(error);
    }

    private protected override bool TryGetTcp(out TcpInfo info)
    {
        info = default;
        if (_isClosed) return false;
        try
        {
            info = _connection.GetInfo();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
