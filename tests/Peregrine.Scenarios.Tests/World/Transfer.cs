// An application that sends a known stream one way and checks every byte at the other end.
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;

namespace Peregrine.Scenarios.Tests.World;

public sealed class Transfer(Host from, TcpHandle sender, Host to, TcpHandle receiver, long total)
{
    private readonly byte[] _buffer = new byte[16_384];

    public long Queued { get; private set; }

    public long Received { get; private set; }

    public bool IsDone => Received == total;

    /// <summary>Bytes that the receiver reads a turn; 0 to stop reading.</summary>
    public int ReadPerTurn { get; set; } = int.MaxValue;

    /// <summary>The application has no more than this yet.</summary>
    public long QueuedMax { get; set; } = long.MaxValue;

    public static byte Pattern(long position) => (byte)((position * 2654435761) >> 11);

    public void Turn(Instant now)
    {
        while (Queued < Math.Min(total, QueuedMax))
        {
            var n = (int)Math.Min(_buffer.Length, Math.Min(total, QueuedMax) - Queued);
            for (var i = 0; i < n; i++) _buffer[i] = Pattern(Queued + i);
            var taken = from.Tcp.Send(sender, _buffer.AsSpan(0, n), now);
            if (taken <= 0) break;
            Queued += taken;
        }
        for (var left = ReadPerTurn; left > 0;)
        {
            var n = to.Tcp.Receive(receiver, _buffer.AsSpan(0, Math.Min(left, _buffer.Length)), now);
            if (n <= 0) break;
            for (var i = 0; i < n; i++)
            {
                if (_buffer[i] != Pattern(Received + i)) Assert.Fail($"byte {Received + i} is wrong");
            }
            Received += n;
            left -= n;
        }
    }
}
