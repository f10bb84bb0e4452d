// What another thread may ask of a core: a record of fixed size without references, so that the same mailbox can lie in shared memory.
// It names an object by index and generation; what it names may be gone when it is read, and then it says nothing.
using System.Runtime.InteropServices;

namespace Peregrine.Sockets;

/// <summary>What an <see cref="EngineCommand"/> asks for.</summary>
public enum EngineCommandKind : uint
{
    /// <summary>Nothing; only wakes the core.</summary>
    None,

    /// <summary>A receive was stored in the connection's object: try it.</summary>
    Receive,

    /// <summary>A send was stored in the connection's object: try it.</summary>
    Send,

    /// <summary>Close the connection gracefully.</summary>
    Close,

    /// <summary>Reset the connection.</summary>
    Abort,

    /// <summary>Shut one or both directions down; <see cref="EngineCommand.Argument"/> is the <see cref="System.Net.Sockets.SocketShutdown"/>.</summary>
    Shutdown,

    /// <summary>The connection's pipes have something to say: bytes consumed, a read, a flush.</summary>
    Pipes,

    /// <summary>A datagram receive or send was stored in the socket's object: try it.</summary>
    Datagram,

    /// <summary>Run what lies in the work slot that <see cref="EngineCommand.Index"/> names.</summary>
    Work,
}

/// <summary>One record of a core's mailbox. 32 bytes, no references.</summary>
[StructLayout(LayoutKind.Sequential)]
public readonly struct EngineCommand(EngineCommandKind kind, uint index = 0, uint generation = 0, long argument = 0, long argument2 = 0)
{
    /// <summary>What is asked for.</summary>
    public EngineCommandKind Kind { get; } = kind;

    /// <summary>The object's index: of a connection, a UDP socket or a work slot.</summary>
    public uint Index { get; } = index;

    /// <summary>The object's generation; a record for an older one is ignored.</summary>
    public uint Generation { get; } = generation;

    /// <summary>Depends on <see cref="Kind"/>.</summary>
    public long Argument { get; } = argument;

    /// <summary>Depends on <see cref="Kind"/>.</summary>
    public long Argument2 { get; } = argument2;
}
