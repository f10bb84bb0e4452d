// How far somebody has looked into a receive queue without consuming. A value: copy it to remember a place.
namespace Peregrine.Core.Tcp;

/// <summary>
/// A place in a connection's received data, for looking without consuming. The default value is the beginning. After bytes are consumed
/// a cursor begins again at the first byte that is left. A cursor is good for the one connection that it was used on.
/// </summary>
public struct TcpReadCursor
{
    internal uint Consumed;
    internal bool IsStarted;

    /// <summary>Index, in the pool of the stack's blocks, of the block that the last run of bytes lies in.</summary>
    public uint Block { readonly get; internal set; }

    /// <summary>Offset of the run's first byte in the block.</summary>
    public int Start { readonly get; internal set; }

    /// <summary>Bytes of the run.</summary>
    public int Length { readonly get; internal set; }
}
