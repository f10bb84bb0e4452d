using System.Buffers.Binary;

namespace Peregrine.Drivers.Tests;

/// <summary>DPDK's device over files: net_pcap.</summary>
[Collection(DpdkTests.Name)]
public sealed class DpdkFileTests
{
    [Fact]
    public void CaptureFilesAreReadAndWrittenByNetPcap()
    {
        DpdkFixture.SkipUnlessInstalled();
        var folder = Directory.CreateTempSubdirectory("peregrine-pcap-").FullName;
        try
        {
            string from = Path.Combine(folder, "in.pcap"), to = Path.Combine(folder, "out.pcap");
            var frames = Enumerable.Range(0, 50).Select(static i => PoolFixture.Pattern(60 + (29 * i), i + 1)).ToList();
            File.WriteAllBytes(from, Capture(frames));
            using (var pcap = new DpdkFixture("net_pcap", $"rx_pcap={from},tx_pcap={to}"))
            {
                Assert.Equal(frames, pcap.Receive(frames.Count));
                Assert.Equal(frames.Count, pcap.Queue.Transmit(frames.Select(bytes => PoolFixture.Make(pcap.Pool, bytes)).ToArray()));
                pcap.Queue.Reclaim();
            }
            Assert.Equal(frames, Frames(File.ReadAllBytes(to)));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // The classic format: a header of 24 bytes, and 16 before each frame, of which the third word is the length.
    private static byte[] Capture(List<byte[]> frames)
    {
        using var file = new MemoryStream();
        Span<byte> header = stackalloc byte[24];
        header.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(header, 0xA1B2_C3D4);
        (header[4], header[6], header[20]) = (2, 4, 1);
        BinaryPrimitives.WriteInt32LittleEndian(header[16..], 65_535);
        file.Write(header);
        foreach (var frame in frames)
        {
            header.Clear();
            BinaryPrimitives.WriteInt32LittleEndian(header[8..], frame.Length);
            BinaryPrimitives.WriteInt32LittleEndian(header[12..], frame.Length);
            file.Write(header[..16]);
            file.Write(frame);
        }
        return file.ToArray();
    }

    private static List<byte[]> Frames(ReadOnlySpan<byte> file)
    {
        var frames = new List<byte[]>();
        for (var rest = file[24..]; rest.Length >= 16;)
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(rest[8..]);
            frames.Add(rest.Slice(16, length).ToArray());
            rest = rest[(16 + length)..];
        }
        return frames;
    }
}
