// The two handshakes of memif's control channel as state machines: a message and its descriptor go in, messages come out, and in the end
// a session. They own what they have mapped and been given until the session takes it over. No socket, no thread: tests play the peer.
namespace Peregrine.Drivers.Memif;

/// <summary>A message to be sent, with a descriptor that stays its owner's, or -1.</summary>
internal readonly record struct MemifOutgoing(byte[] Bytes, int Descriptor = -1);

/// <summary>One end's handshake.</summary>
internal abstract class MemifHandshake(Action onFailed) : IDisposable
{
    private readonly Queue<MemifOutgoing> _outgoing = new();

    protected Action OnFailed => onFailed;

    /// <summary>Made when both ends are ready. Whoever takes it owns a reference.</summary>
    public MemifSession? Session { get; protected set; }

    /// <summary>What the peer calls itself, for people.</summary>
    public string PeerName { get; protected set; } = "";

    /// <summary>Takes a message. The descriptor, or -1, belongs to the handshake from then on. Null, or why the connection must end.</summary>
    public abstract string? OnMessage(Span<byte> bytes, int descriptor);

    public bool TryTakeOutgoing(out MemifOutgoing message) => _outgoing.TryDequeue(out message);

    public static byte[] Disconnect(string reason)
    {
        var bytes = new byte[MemifMessage.Size];
        new MemifMessage(bytes).WriteDisconnect(reason);
        return bytes;
    }

    /// <summary>Frees what no session has taken over.</summary>
    public abstract void Dispose();

    protected void Send(byte[] bytes, int descriptor = -1) => _outgoing.Enqueue(new MemifOutgoing(bytes, descriptor));
}
