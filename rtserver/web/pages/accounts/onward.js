// Sends what a provider said once more, from a page of ours.

const form = document.getElementById("onward");
form.querySelector("button").disabled = true; // or it could be sent twice
HTMLFormElement.prototype.submit.call(form); // a field may have the name "submit"
