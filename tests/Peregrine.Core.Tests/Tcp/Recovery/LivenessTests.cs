// Whole transfers through a bad network, with time-outs, crumbs of SACKs, small pools and shrinking MTUs: whatever happens, everything
// arrives, the scoreboard holds together, and no record is lost.
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Tcp.Recovery;

namespace Peregrine.Core.Tests.Tcp.Recovery;

public sealed class LivenessTests
{
    [Fact]
    public void EveryTransferEndsAndGivesItsRecordsBack()
    {
        for (var seed = 0; seed < 2000; seed++) Transfer(seed);
    }

    private static void Transfer(int seed)
    {
        var random = new Random(seed);
        const int total = 60_000;
        var sack = random.Next(3) != 0;
        using var b = new RecoveryBench(sack, (CongestionAlgorithm)(seed % 2), seed % 3 == 0 ? 0xFFFF_F000u : 0x7FFF_0000u, random.Next(1, 60));
        b.Queue(total);
        var received = new bool[total + 1];
        var loss = random.NextDouble() * 0.4;
        var steps = 0;
        while (b.Una < total)
        {
            Assert.True(++steps < 5000, $"seed {seed} does not end: una {b.Una}, {b.Phase}, pipe {b.Pipe}, cwnd {b.C.Cwnd}");
            var arrived = Fill(b, random, total, loss, received);
            b.PassMs(random.Next(1, 40));
            if (random.Next(150) == 0 && b.C.Mss > 400) b.Recovery.OnMssReduced(ref b.C, ref b.K, (ushort)(b.C.Mss - 300));
            if (arrived == 0 && random.Next(3) == 0)
            {
                b.Timeout();
                continue;
            }
            var ack = Array.IndexOf(received, false);
            // The receiver never takes back: but it may report odd pieces of what it has.
            b.AckWith((uint)Math.Min(ack, (int)b.Max), ack == b.Una, sack ? Blocks(random, received, ack, (int)b.Max) : []);
        }
        Assert.True(b.Recovery.FreeRecords == b.RecordCount, $"seed {seed} lost records");
    }

    private static int Fill(RecoveryBench b, Random random, int total, double loss, bool[] received)
    {
        var arrived = 0;
        while (b.Retransmit() is { } again) arrived += Put(again.Seq, again.Length);
        while (b.Max < total && b.Allowance > 0)
        {
            var (at, length) = (b.Max, Math.Min(Math.Min(b.Allowance, (uint)total - b.Max), (uint)random.Next(1, 4000)));
            if (!b.Send(length)) break;
            b.C.Snd.QueueEnd = b.C.Snd.Max + ((uint)total - b.Max);
            arrived += Put(at, length);
        }
        return arrived;

        int Put(uint seq, uint length)
        {
            var count = 0;
            for (var at = seq; at < seq + length; at += b.C.Mss)
            {
                if (random.NextDouble() < loss) continue;
                count++;
                for (var i = at; i < Math.Min(at + b.C.Mss, seq + length); i++) received[i] = true;
            }
            return count;
        }
    }

    private static (uint, uint)[] Blocks(Random random, bool[] received, int ack, int max)
    {
        var blocks = new List<(uint, uint)>();
        for (var tries = 0; tries < 20 && blocks.Count < 3; tries++)
        {
            if (max <= ack + 1) break;
            var left = random.Next(ack, max);
            if (!received[left]) continue;
            var right = left;
            while (right < max && received[right]) right++;
            if (random.Next(4) == 0) right = random.Next(left + 1, right + 1);
            else while (left > ack && received[left - 1]) left--;
            blocks.Add(((uint)left, (uint)right));
        }
        return [.. blocks];
    }
}
