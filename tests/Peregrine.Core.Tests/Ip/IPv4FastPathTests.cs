// The short way of the usual packet and the long way of all must say the same of every frame, and count the same.
using System.Reflection;
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Wire;
using static Peregrine.Core.Tests.Ip.IpFixture;

namespace Peregrine.Core.Tests.Ip;

public sealed class IPv4FastPathTests
{
    private static readonly FieldInfo[] s_fields = typeof(ReceivedPacket).GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic);

    [Fact]
    public void BothWaysSayTheSameOfAnyFrame()
    {
        using IpFixture fast = new(), slow = new();
        slow.Ip.Input.UsesFastPath = false;
        var random = new StackRandom(21);
        var taken = 0;
        for (var i = 0; i < 20_000; i++)
        {
            var bytes = Pick(random);
            Spoil(bytes, random);
            var flags = random.Next(8) == 0 ? (FrameFlags)random.Next(16) : FrameFlags.None;
            var chunk = random.Next(10) == 0 ? 14 + (int)random.Next(60) : int.MaxValue;
            var (seen, long_) = (See(fast, bytes, flags, chunk), See(slow, bytes, flags, chunk));
            if (seen != long_) Assert.Fail($"frame {i} ({Convert.ToHexString(bytes)}): the short way says {seen}, the long one {long_}");
            if (seen != "nothing") taken++;
            Assert.Equal(slow.Ip.Counters, fast.Ip.Counters);
        }
        // Both kinds were among them.
        Assert.InRange(taken, 2_000, 18_000);
    }

    private static string See(IpFixture f, byte[] bytes, FrameFlags flags, int chunk)
    {
        var frame = f.Make(bytes, chunk);
        frame.Flags = flags;
        if (!f.Ip.TryParse(ref frame, f.Link, f.Now, out var packet)) return "nothing";
        f.Frames.Return(frame);
        f.Sent();
        object boxed = packet;
        return string.Join(' ', s_fields.Where(static field => field.Name != nameof(ReceivedPacket.Frame)).Select(field => $"{field.Name}={field.GetValue(boxed)}"))
            + $" frame {frame.Length} {frame.HeadLength} {frame.Flags}";
    }

    private static byte[] Pick(StackRandom random)
    {
        IpAddress[] others = [Peer4, Far4, Our4, IpAddress.Parse("192.0.2.255"), IpAddress.Parse("255.255.255.255"), IpAddress.Parse("224.0.0.1"), IpAddress.Parse("127.0.0.1"), IpAddress.Parse("0.0.0.0"), IpAddress.Parse("240.0.0.1")];
        var usual = random.Next(2) == 0;
        var from = usual ? Peer4 : others[random.Next((uint)others.Length)];
        var to = usual ? Our4 : others[random.Next((uint)others.Length)];
        byte protocol = random.Next(8) switch { 0 => 17, 1 => 1, 2 => 47, _ => 6 };
        return IPv4(from, to, protocol, Pattern(20 + (int)random.Next(40)), options: random.Next(10) == 0 ? [1, 1, 1, 0] : null);
    }

    // A bit or two in the headers, with the checksum mended half of the time, or a cut.
    private static void Spoil(byte[] bytes, StackRandom random)
    {
        for (var left = random.Next(3); left > 0; left--) bytes[random.Next((uint)Math.Min(bytes.Length, 36))] ^= (byte)(1 << (int)random.Next(8));
        if (random.Next(2) != 0) return;
        bytes[24] = bytes[25] = 0;
        var sum = InternetChecksum.Finish(InternetChecksum.Sum(bytes.AsSpan(14, 20)));
        System.Runtime.InteropServices.MemoryMarshal.Write(bytes.AsSpan(24), sum);
    }
}
