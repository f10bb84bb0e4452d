// The client in a process of its own: "peregrine bench-load". Reads one work a line, says "measuring" when its measured time begins, and
// answers with one line. It lives from run to run, so that its code is compiled before anything is measured.
using System.Net;
using System.Text.Json;

namespace Peregrine.Bench.Load;

/// <summary>One run that a client is asked for.</summary>
internal sealed record LoadOrder(BenchWork Work, string Address);

internal static class LoadProcess
{
    internal const string Measuring = "measuring";

    internal static void Run(TextReader input, TextWriter output)
    {
        output.WriteLine("ready");
        while (input.ReadLine() is { } line)
        {
            try
            {
                var order = JsonSerializer.Deserialize<LoadOrder>(line)!;
                using var load = new KernelLoad(order.Work, IPAddress.Parse(order.Address)) { OnMeasure = () => output.WriteLine(Measuring) };
                output.WriteLine(JsonSerializer.Serialize(load.Run()));
            }
            catch (Exception e) when (e is IOException or InvalidDataException or System.Net.Sockets.SocketException)
            {
                output.WriteLine("error " + e.Message.ReplaceLineEndings(" "));
            }
        }
    }
}
