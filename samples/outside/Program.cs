// A user's program, built from the packages alone: a site on one stack, fetched by HttpClient over another, joined by a link in memory.
// Exits 0 when the page came.
using Peregrine;
using Peregrine.AspNetCore;
using Peregrine.Core.Links;

var (ours, theirs) = MemoryLink.CreatePair();
var builder = WebApplication.CreateSlimBuilder(args);
builder.Logging.SetMinimumLevel(LogLevel.Warning);
builder.WebHost.UseUrls("http://*:80");
builder.WebHost.UsePeregrine(options =>
{
    options.OpenLink = () => ours;
    options.Addresses = ["10.0.0.1/24"];
});
await using var app = builder.Build();
app.MapGet("/", (HttpContext context) => $"{context.Request.Protocol} from {context.Connection.RemoteIpAddress}");
await app.StartAsync();

await using var network = await PeregrineNetwork.StartAsync(new PeregrineOptions { Name = "client", Addresses = ["10.0.0.2/24"] }, theirs);
using var http = new HttpClient(new SocketsHttpHandler { ConnectCallback = network.ConnectAsync, UseProxy = false });
var page = await http.GetStringAsync("http://10.0.0.1/");
Console.WriteLine(page);
await app.StopAsync();
return page == "HTTP/1.1 from 10.0.0.2" ? 0 : 1;
