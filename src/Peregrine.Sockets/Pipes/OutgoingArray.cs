// Bytes of a pipe's writer on their way into the ring, for writers that are not on the core's thread: an array that the writer goes on filling
// while the core empties it, so that many small flushes share one. The core gives it back when it has sent all and the writer does not hold it.
//
// Who may do what: the writer fills while it holds the array and lets go of it at each flush; the core reads what was flushed, at any time. Only an
// array that nobody holds can be taken away, and then the writer, who fails to take hold of it again, begins another.
using System.Buffers;

namespace Peregrine.Sockets;

internal sealed class OutgoingArray
{
    private const int Free = 0, Held = 1, TakenAway = 2;

    private int _holder = Held;
    private int _flushed;
    private int _sent;

    internal OutgoingArray(int bytes) => Array = ArrayPool<byte>.Shared.Rent(bytes);

    internal byte[] Array { get; private set; }

    /// <summary>Bytes that the writer has put in, flushed or not. The writer's.</summary>
    internal int Length { get; set; }

    /// <summary>Whether the core has it in its queue. The writer's.</summary>
    internal bool IsQueued { get; set; }

    internal int Room => Array.Length - Length;

    /// <summary>What was flushed and not sent. The core's.</summary>
    internal ReadOnlySpan<byte> Unsent => Array.AsSpan(_sent, Volatile.Read(ref _flushed) - _sent);

    /// <summary>The writer wants to fill it further. False when the core has taken it away.</summary>
    internal bool TryHold() => Interlocked.CompareExchange(ref _holder, Held, Free) == Free;

    /// <summary>The core may read what was put in up to now. Says how many bytes that are more than before. The writer's, while it holds the array.</summary>
    internal int Publish()
    {
        var more = Length - _flushed;
        Volatile.Write(ref _flushed, Length);
        return more;
    }

    internal void LetGo() => Volatile.Write(ref _holder, Free);

    internal void OnSent(int count) => _sent += count;

    /// <summary>All has been sent: takes the array away from the writer and gives it back, unless the writer holds it or has flushed more meanwhile. The core's.</summary>
    internal bool TryReturn()
    {
        if (_holder != TakenAway && Interlocked.CompareExchange(ref _holder, TakenAway, Free) != Free) return false;
        if (Unsent.Length > 0) return false;
        ArrayPool<byte>.Shared.Return(Array);
        return true;
    }
}
