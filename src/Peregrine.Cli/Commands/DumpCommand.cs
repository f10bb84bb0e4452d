// "peregrine dump": prints a capture file, or what passes on a link, as lines like tcpdump's; and writes captures.
using System.CommandLine;
using Peregrine.Drivers;
using Peregrine.Wire;

namespace Peregrine.Cli.Commands;

internal static class DumpCommand
{
    internal static Command Create()
    {
        var file = new Argument<FileInfo?>("file") { Description = "A pcapng or pcap file to print; without one, --link is watched", DefaultValueFactory = static _ => null };
        var link = new Option<string?>("--link") { Description = "The link to watch: tap:NAME, packet:INTERFACE and so on; 'peregrine links' shows them" };
        var space = new Option<string?>("--netns") { Description = "The network namespace of the device" };
        var capture = new CaptureOptions();
        var count = new Option<int>("--count", "-c") { Description = "End after so many frames; 0 for all", DefaultValueFactory = static _ => 0 };
        var command = new Command("dump",
            "Prints frames, one line each: of a capture file, or of a link that nobody else has open.\n\nExamples:\n"
            + "  peregrine dump demo.pcapng                   a capture, for example of 'peregrine demo --write demo.pcapng'\n"
            + "  peregrine dump --link tap:tap0 -w out.pcapng what the kernel sends out of tap0\n"
            + "  peregrine serve --dump                       what a site of its own sends and receives")
        {
            file, link, space, count,
        };
        capture.AddTo(command);
        command.SetAction((parsed, cancel) => (parsed.GetValue(file), parsed.GetValue(link)) switch
        {
            ({ } path, null) => Task.FromResult(PrintFile(path, capture.Open(parsed), parsed.GetValue(count), cancel)),
            (null, { } name) => WatchAsync(name, parsed.GetValue(space), capture.Open(parsed), parsed.GetValue(count), cancel),
            _ => throw new ArgumentException("Give either a capture file or --link tap:NAME."),
        });
        return command;
    }

    private static int PrintFile(FileInfo file, Stream? write, int countMax, CancellationToken cancel)
    {
        if (!file.Exists) throw new FileNotFoundException($"There is no file {file.FullName}.");
        using var reader = new CaptureReader(file.OpenRead());
        using var writer = write == null ? null : new PcapngWriter(write);
        var interfaces = 0;
        var count = 0;
        var first = 0UL;
        while ((countMax == 0 || count < countMax) && !cancel.IsCancellationRequested && reader.TryReadFrame(out var frame))
        {
            var line = FrameLines.Print(frame, reader);
            if (count++ == 0) first = line.TimeNs;
            Console.WriteLine(FrameLines.Format(line, first));
            if (writer == null) continue;
            for (; interfaces < reader.Interfaces.Count; interfaces++) writer.AddInterface(reader.Interfaces[interfaces].Name, reader.Interfaces[interfaces].LinkType);
            writer.WriteFrame(frame.InterfaceId, frame.TimeNs, frame.Bytes, frame.Direction);
        }
        if (reader.Error is not { } error) return 0;
        Console.Error.WriteLine($"peregrine: {file.FullName} is damaged after {count} frames: {error}");
        return 1;
    }

    private static async Task<int> WatchAsync(string name, string? space, Stream? write, int count, CancellationToken cancel)
    {
        if (name == "memory") throw new ArgumentException("Nothing passes on a link in memory that nobody else has: give --link tap:NAME.");
        var link = LinkFactory.Open(name, new LinkSettings { NetworkNamespace = space, BringUp = true, Offloads = false });
        var watch = new FrameWatch(link, write, print: true, count);
        await using (watch.ConfigureAwait(false))
        {
            // A network without addresses answers nothing; it only brings the frames here.
            await using var network = await PeregrineNetwork.StartAsync(new PeregrineOptions { Name = "dump", ControlSocket = "none" }, watch.Link, cancel: cancel, platform: new LinuxPlatform())
                .ConfigureAwait(false);
            watch.Start(network.Engine);
            Console.Error.WriteLine($"watching {name}; Ctrl-C ends it");
            try
            {
                await watch.Enough.WaitAsync(cancel).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                // That is how it ends.
            }
        }
        return 0;
    }
}
