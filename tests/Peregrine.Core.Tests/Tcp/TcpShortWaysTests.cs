// Header prediction, the lone ACK, the answer in one segment and the frame written in one pass are short cuts: a stack that takes them and
// one that does not must be the same after every turn, whatever peers, application and network do. Both get the same frames and the same
// calls; what they send, count, tell and keep is compared.
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Peregrine.Core.Ip;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp;

public sealed class TcpShortWaysTests
{
    [Theory]
    [InlineData(1, 0, 65_536, true, "cubic", LinkOffloads.None)]
    [InlineData(2, 30, 4_096, true, "cubic", LinkOffloads.None)]
    [InlineData(3, 30, 65_536, true, "reno", LinkOffloads.TransmitChecksum)]
    [InlineData(4, 8, 65_536, false, "cubic", LinkOffloads.None)]
    [InlineData(5, 60, 4_096, false, "dctcp", LinkOffloads.None)]
    [InlineData(6, 60, 65_536, true, "bbr", LinkOffloads.None)]
    [InlineData(7, 30, 65_536, true, "cubic", LinkOffloads.Gather | LinkOffloads.GatherSegments)]
    [InlineData(8, 8, 65_536, false, "reno", LinkOffloads.Gather | LinkOffloads.GatherSegments)]
    public void ShortAndLongWaysDoTheSame(ulong seed, int faultsIn, int bufferBytes, bool timestamps, string control, LinkOffloads offloads)
    {
        var settings = new TcpSettings { CongestionControl = control, Timestamps = timestamps, ReceiveBufferBytes = bufferBytes, ReceiveBufferBytesMax = bufferBytes };
        using var world = new World(seed, faultsIn, settings, offloads);
        for (var turn = 0; turn < 6_000; turn++) world.Turn(turn);
        // Both kinds of segments were among them, and connections came and went.
        var counters = world.Short.Tcp.Counters;
        Assert.True(counters.BytesReceived > 50_000, $"only {counters.BytesReceived} bytes came");
        Assert.True(counters.PassiveOpens > 20, $"only {counters.PassiveOpens} connections");
        if (faultsIn > 0) Assert.True(counters.DroppedChecksum > 20 && counters.SegmentsRetransmitted > 20);
    }

    private sealed class World : IDisposable
    {
        private const int Connections = 12;
        private const ushort Port = 80;

        private readonly StackRandom _random;
        private readonly int _faultsIn;
        private readonly NetworkStack _client, _long;
        private readonly TcpHandle[] _open = new TcpHandle[Connections];
        private readonly TcpListenerHandle _listener, _longListener;
        private readonly List<TcpHandle> _accepted = [];
        private readonly List<(byte[] Bytes, FrameFlags Flags)> _held = [];
        private readonly byte[] _data = new byte[20_000];
        private Instant _now = new(1_000_000_000);

        internal World(ulong seed, int faultsIn, TcpSettings settings, LinkOffloads offloads)
        {
            (_random, _faultsIn) = (new StackRandom(seed), faultsIn);
            for (var i = 0; i < _data.Length; i++) _data[i] = (byte)_random.Next(256);
            _client = Stack(2, LinkOffloads.None, settings);
            (Short, _long) = (Stack(1, offloads, settings), Stack(1, offloads, settings));
            _long.Tcp.UsesShortWays = false;
            var local = new Endpoint(IpAddress.FromIPv4(10, 0, 0, 1), Port);
            Assert.Equal(SocketError.Success, Short.Tcp.Listen(new TcpListenOptions(local, 8), out _listener));
            Assert.Equal(SocketError.Success, _long.Tcp.Listen(new TcpListenOptions(local, 8), out _longListener));
        }

        internal NetworkStack Short { get; }

        public void Dispose()
        {
            Short.Dispose();
            _long.Dispose();
            _client.Dispose();
        }

        internal void Turn(int number)
        {
            _now += _random.Next(40) switch { 0 => Duration.FromMilliseconds(300), < 4 => Duration.FromMilliseconds(5), _ => new Duration(20_000 + _random.Next(200_000)) };
            ClientActs();
            foreach (var (bytes, flags) in Across(TakeOutput(_client, 1)))
            {
                Give(Short, bytes, flags, _now);
                Give(_long, bytes, flags, _now);
            }
            Short.FireTimers(_now);
            _long.FireTimers(_now);
            ServersAct();
            Short.Poll(_now);
            _long.Poll(_now);
            var (sent, longSent) = (TakeOutput(Short, 1), TakeOutput(_long, 1));
            Assert.Equal(longSent.Select(Text), sent.Select(Text));
            AssertSame(number);
            foreach (var (bytes, flags) in Across(sent)) Give(_client, bytes, flags, _now);
        }

        private static string Text((byte[] Bytes, FrameFlags Flags) frame) => $"{frame.Flags} {Convert.ToHexString(frame.Bytes)}";

        private void AssertSame(int number)
        {
            Assert.Equal(_long.Tcp.Counters, Short.Tcp.Counters);
            Assert.Equal(_long.Tcp.ExtCounters, Short.Tcp.ExtCounters);
            Assert.Equal(_long.Ip.Counters, Short.Ip.Counters);
            Assert.Equal(_long.Tcp.Blocks.FreeCount, Short.Tcp.Blocks.FreeCount);
            Assert.Equal(_long.Frames.Chunks.FreeCount, Short.Frames.Chunks.FreeCount);
            Assert.Equal(_long.NextDeadline(_now), Short.NextDeadline(_now));
            for (var i = 0u; i < Short.Tcp.SlotCount; i++)
            {
                var a = Short.Tcp.Context.Tcbs.Get(i);
                var b = _long.Tcp.Context.Tcbs.Get(i);
                if (!Bytes(ref a.C).SequenceEqual(Bytes(ref b.C)) || !Bytes(ref a.K).SequenceEqual(Bytes(ref b.K))) Assert.Fail($"turn {number}: connection {i} is not the same");
                Assert.Equal(_long.Tcp.Context.Recovery.Check(b.C, b.K), Short.Tcp.Context.Recovery.Check(a.C, a.K));
            }
        }

        private static ReadOnlySpan<byte> Bytes<T>(ref T value) where T : unmanaged => MemoryMarshal.AsBytes(MemoryMarshal.CreateReadOnlySpan(ref value, 1));

        private void ClientActs()
        {
            for (var i = 0; i < Connections; i++)
            {
                if (!_client.Tcp.GetStatus(_open[i]).IsAlive)
                {
                    if (_random.Next(8) == 0) _client.Tcp.Connect(new TcpConnectOptions(new Endpoint(IpAddress.FromIPv4(10, 0, 0, 1), Port)), _now, out _open[i]);
                    continue;
                }
                Act(_open[i], _random.Next(400), (int)_random.Next(8) == 0 ? 6_000 : 40, [_client]);
            }
            while (_client.Tcp.TryNextEvent(out var e))
            {
                if ((e.Events & TcpEvents.Closed) != 0) _client.Tcp.Close(e.Connection, _now);
            }
            _client.FireTimers(_now);
            _client.Poll(_now);
        }

        private void ServersAct()
        {
            while (Short.Tcp.TryAccept(_listener, out var handle))
            {
                Assert.True(_long.Tcp.TryAccept(_longListener, out var other));
                Assert.Equal(other, handle);
                _accepted.Add(handle);
            }
            for (var more = true; more;)
            {
                more = Short.Tcp.TryNextEvent(out var e);
                Assert.Equal(more, _long.Tcp.TryNextEvent(out var other));
                Assert.Equal(other, e);
                if (!more || (e.Events & TcpEvents.Closed) == 0) continue;
                Short.Tcp.Close(e.Connection, _now);
                _long.Tcp.Close(e.Connection, _now);
                _accepted.Remove(e.Connection);
            }
            foreach (var handle in _accepted.ToArray())
            {
                // Mostly as servers do: read what came, answer it.
                if (Short.Tcp.GetStatus(handle).ReadableBytes > 0 || _random.Next(20) == 0) Act(handle, _random.Next(400), (int)_random.Next(12) == 0 ? 9_000 : 60, [Short, _long]);
            }
        }

        private void Act(TcpHandle handle, uint choice, int most, NetworkStack[] stacks)
        {
            var (length, start) = ((int)_random.Next((uint)most), (int)_random.Next(1_000));
            foreach (var stack in stacks)
            {
                if (choice < 300) stack.Tcp.Receive(handle, new byte[4_000], _now);
                if (choice < 200) stack.Tcp.Send(handle, _data.AsSpan(start, length), _now);
                if (choice == 399) stack.Tcp.Shutdown(handle, _now);
                if (choice == 398) stack.Tcp.SendUrgent(handle, _data.AsSpan(start, 1), _now);
                if (choice == 397) stack.Tcp.Close(handle, _now);
            }
            if (choice == 397) _accepted.Remove(handle);
        }

        // The network: loses, repeats, delays and spoils one frame in so many.
        private IEnumerable<(byte[] Bytes, FrameFlags Flags)> Across(List<(byte[] Bytes, FrameFlags Flags)> frames)
        {
            foreach (var frame in frames)
            {
                switch (_faultsIn == 0 ? 9 : _random.Next((uint)(4 * _faultsIn)))
                {
                    case 0:
                        continue;
                    case 1:
                        yield return frame;
                        break;
                    case 2:
                        _held.Add(frame);
                        continue;
                    case 3:
                        frame.Bytes[14 + _random.Next((uint)frame.Bytes.Length - 14)] ^= (byte)(1 << (int)_random.Next(8));
                        break;
                }
                yield return frame;
            }
        }

        private List<(byte[] Bytes, FrameFlags Flags)> TakeOutput(NetworkStack stack, int index)
        {
            var pending = stack.PendingOutput(index);
            var taken = new List<(byte[], FrameFlags)>();
            foreach (ref var frame in pending)
            {
                var bytes = new byte[frame.Length];
                Assert.Equal(bytes.Length, stack.Frames.CopyTo(frame, 0, bytes));
                Assert.True((frame.Flags & FrameFlags.ChecksumUnfinished) == 0 || (frame.ChecksumStart, frame.ChecksumOffset) == (34, 16));
                taken.Add((bytes, frame.Flags));
                stack.Frames.Return(frame);
            }
            stack.OnTransmitted(index, pending.Length);
            if (ReferenceEquals(stack, _client) && _random.Next(4) == 0)
            {
                taken.AddRange(_held.Select(static held => (held.Bytes, held.Flags)));
                _held.Clear();
            }
            return taken;
        }

        private static void Give(NetworkStack stack, byte[] bytes, FrameFlags flags, Instant now)
        {
            if (!stack.Frames.TryRent(out var frame, 66)) throw new InvalidOperationException("no frame");
            frame.HeadLength = (ushort)bytes.Length;
            frame.Length = bytes.Length;
            frame.Flags = flags & ~FrameFlags.Gathered;
            bytes.CopyTo(stack.Frames.Head(frame));
            stack.OnBurst(1, MemoryMarshal.CreateSpan(ref frame, 1), now);
        }

        private NetworkStack Stack(byte number, LinkOffloads offloads, TcpSettings settings)
        {
            var options = new StackOptions
            {
                ConnectionCountMax = 64, TimeWaitCountMax = 64, SynBacklogCountMax = 64, FrameCount = 1_024, BlockSizeBytes = 1_024, BlockCount = 1_024,
                TransmissionRecordCount = 512, MergeReceived = false, Tcp = settings,
            };
            var stack = new NetworkStack(options, MemoryRegion.Allocate(NetworkStack.BytesFor(options)), StackSecrets.FromSeed(number), number, _now);
            var index = stack.AddInterface(
                new InterfaceOptions
                {
                    Name = "eth0", MacAddress = new MacAddress(0x0200_0000_0000UL + number), Mtu = 1500, LinkLocal = false, ReportMulticast = false, Offloads = offloads,
                    Addresses = [new InterfaceAddress(IpAddress.FromIPv4(10, 0, 0, number), 24)],
                },
                _now);
            Assert.Equal(1, index);
            return stack;
        }
    }
}
